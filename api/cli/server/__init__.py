"""Commands that start components: up, run, migrate, exec."""
