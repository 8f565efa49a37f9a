"""The Celery side: thin tasks over steps that know no Celery, and the channels that send messages."""
