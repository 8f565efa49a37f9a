"""What must hold of the composed ledger, step by step. Each step raises `FailedError` if it does not."""

import json
import re
import socket
import time
from collections.abc import Callable

from tests.acceptance_compose.compose import SERVICES, Compose, docker, ensure, wait
from tests.acceptance_compose.people import RedeemRecord, RequestResult, Traffic, ask

QUEUED = "已加入队列，邀请将在几秒内发送，请查收邮箱"
TRACE = "acce97a9ce000001"
IMAGE_BYTES_MAX = 250_000_000
SERVED_S_MAX = 240.0
OWN = ("backend", "celery_worker", "celery_beat")
TAKES_REDEEMS_WITHOUT = ("redis", "celery_worker", "celery_beat")
NEEDED = ("db", "backend")
OF_DOTENV = {
    "LEDGER_LEASE_S": "75", "LEDGER_SMTP_TIMEOUT_S": "31.5", "LEDGER_ALLOWED_HOSTS": "backend",
    "LEDGER_MAIL_FROM": "Shop # 1 <shop@example.com>", "LEDGER_DISK_PATH": "/checkpoints",
}  # fmt: skip
DOTENV = (
    b'LEDGER_LEASE_S=90\r\nLEDGER_LEASE_S=75\r\nLEDGER_SMTP_TIMEOUT_S="31.5"\r\nLEDGER_ALLOWED_HOSTS=backend\r\n'
    b"LEDGER_MAIL_FROM='Shop # 1 <shop@example.com>'\r\nLEDGER_DISK_PATH=/checkpoints\r\nLEDGER_SMTP_TIME_S=45\r\n"
)
BY_HAND = """
from workers.tasks import process_invite_task
print(process_invite_task.delay(email="by-hand@example.com", redeem_code="{code}", group_id=None, is_rebind=False).id)
"""


def six_are_healthy(compose: Compose) -> str:
    """`docker compose ps` lists the six of the incident, all healthy."""
    health = compose.health()
    ensure(set(SERVICES) <= health.keys(), f"services: {sorted(health)}")
    ensure({state for states in health.values() for state in states} == {"healthy"}, f"health: {health}")
    return ", ".join(SERVICES)


def nothing_has_more_rights_than_it_needs(compose: Compose) -> str:
    """Non-root, read-only, no capabilities, an init, memory limits, time to end, and a small image."""
    for service in (*OWN, "redis", "frontend", "mailcatcher"):
        container = compose.inspect(service)
        host = container["HostConfig"]
        ensure(container["Config"]["User"] not in {"", "root", "0"}, f"{service} runs as root")
        ensure(host["ReadonlyRootfs"], f"{service}: its file system can be written")
        ensure(host["CapDrop"] == ["ALL"] and not host["CapAdd"], f"{service} has capabilities")
    for service in SERVICES:
        host = compose.inspect(service)["HostConfig"]
        ensure(host["Memory"] > 0, f"{service} has no memory limit")
        ensure("no-new-privileges:true" in host["SecurityOpt"], f"{service} may gain privileges")
    for service in OWN:
        container = compose.inspect(service)
        ensure(container["HostConfig"]["Init"], f"{service} has no init")
        ensure(container["Config"]["StopTimeout"] >= 15, f"{service} is killed before the soft shutdown ends")
    for service in OWN:
        mounted = [mount["Destination"] for mount in compose.inspect(service)["Mounts"]]
        ensure("/db-secret" not in mounted, f"{service} can read the password of the database's owner")
        environment = dict(line.split("=", 1) for line in compose.inspect(service)["Config"]["Env"])
        named = [name for name, value in environment.items() if name.startswith("LEDGER_OWNER_") and value]
        ensure(not named, f"{service} has {named}")
    size = int(docker("image", "inspect", "--format", "{{.Size}}", compose.image))
    ensure(size <= IMAGE_BYTES_MAX, f"the image has {size} bytes")
    return f"image {size / 1e6:.0f} MB"


def settings_of_dotenv_reach_every_container(compose: Compose) -> str:
    """With quotes, CRLF, a duplicate and a mistyped name in the file; a malformed value is named in time."""
    dotenv = compose.clone / ".env"
    try:
        dotenv.write_bytes(DOTENV)
        compose.up()
        for service in OWN:
            document = json.loads(compose("exec", "-T", service, "ledger", "settings", "--json", check=False))
            values = {row["name"]: row["value"] for row in document["settings"]}
            wrong = {name: values[name] for name, value in OF_DOTENV.items() if values[name] != value}
            ensure(not wrong, f"{service} has {wrong}")
            ensure("did you mean LEDGER_SMTP_TIMEOUT_S?" in str(document["problems"]), f"{service}: no word of it")
            log = compose("logs", service)
            ensure('"unknown setting ignored"' in log, f"the log of {service} does not name the mistyped setting")
        check = ("run", "--rm", "--no-deps", "-T", "migrate", "settings", "-", "--json")
        problems = json.loads(compose(*check, check=False, stdin="LEDGER_SEND_CONCURRENCY=many\n"))["problems"]
        ensure("LEDGER_SEND_CONCURRENCY: " in str(problems), f"the check of a malformed value: {problems}")
    finally:
        dotenv.unlink()
        compose.up()
    return f"{len(OF_DOTENV)} settings in {', '.join(OWN)}"


def checks_by_hand_work(compose: Compose) -> str:
    """The runbook's checks manually, word for word."""
    ensure(re.search(r"celery@\S+ ready\.", compose("logs", "celery_worker")), "the worker's log does not say ready")
    due = "Scheduler: Sending due task cleanup-expired-users"
    wait(lambda: due in compose("logs", "celery_beat"), 90, f"beat's log says {due}")
    ensure("PONG" in compose("exec", "-T", "redis", "redis-cli", "ping"), "redis-cli ping")
    inspect = ("exec", "-T", "celery_worker", "celery", "-A", "workers.celery_app", "inspect", "registered")
    registered = compose(*inspect)
    for task in ("process_invite_task", "sync_redeem_count_task", "cleanup_expired_users"):
        ensure(re.search(rf"\* {task}$", registered, re.MULTILINE), f"{task} is not registered: {registered}")
    code = compose.ledger("issue", "--max-uses", "1")[0]["code"]
    printed = compose("exec", "-T", "celery_worker", "python", "-c", BY_HAND.format(code=code))
    ensure(re.fullmatch(r"[0-9a-f-]{36}", printed.strip()), f"no task id: {printed}")
    wait(lambda: "by-hand@example.com" in [mail["to"] for mail in compose.mails()], 60, "the mail of that task")
    ensure(compose.ledger("doctor")["checks"], "the doctor finds everything well")
    return f"task {printed.strip()}"


def a_redeem_becomes_a_mail(compose: Compose) -> str:
    """Through nginx, with the sentence of the incident; one id leads from there to the mail."""
    code = compose.ledger("issue", "--max-uses", "1")[0]["code"]
    began = time.monotonic()
    body = {"email": "li.wei@example.com", "code": code}
    answer = ask(compose.port, "POST", "/api/v1/public/redeem", body, X_Request_ID=TRACE)
    ensure((answer.status, answer.json()["message"]) == (202, QUEUED), f"{answer.status} {answer.body!r}")
    arrived = wait(lambda: [m for m in compose.mails() if m["to"] == "li.wei@example.com"], 30, "the mail")
    seconds = time.monotonic() - began
    ensure(arrived[0]["x-request-id"] == TRACE, f"the mail's X-Request-ID: {arrived[0]}")
    for service in ("frontend", "backend", "celery_worker"):
        wait(lambda name=service: TRACE in compose("logs", name), 10, f"the id in the log of {service}")  # type: ignore[misc]  # a lambda with a default
    return f"mail after {seconds:.1f} s"


def the_front_keeps_the_door(compose: Compose) -> str:
    """No metrics outside, security headers, static files cached, streams unbuffered, clicks limited."""
    ensure(ask(compose.port, "GET", "/metrics").status == 404, "/metrics is public")
    page = ask(compose.port, "GET", "/invite", Accept="text/html")
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy", "permissions-policy"):
        ensure(name in page.headers, f"no {name} on a page")
    asset = re.search(rb'"(/static/[^"]+\.css[^"]*)"', page.body)
    ensure(asset, "no style sheet on the page")
    for _ in range(2):
        ensure(ask(compose.port, "GET", asset[1].decode()).status == 200, "a style sheet")  # type: ignore[index]  # made sure of above
    hits = [json.loads(line.partition("{")[1] + line.partition("{")[2]) for line in _front_lines(compose, "/static/")]
    ensure(any(line["upstream"] == "" for line in hits), "static files are not cached")
    ensure(_stream_comes_at_once(compose), "a stream is buffered")
    nonsense = {"email": "x@example.com", "code": "no-such-code"}

    def click() -> RequestResult:
        return ask(compose.port, "POST", "/api/v1/public/redeem", nonsense)

    answers = [click() for _ in range(150)]
    limited = [answer for answer in answers if answer.status == 429]
    ensure(limited and limited[0].headers["retry-after"], "nothing limits clicks")
    wait(lambda: click().status != 429, 30, "clicks are taken again")
    return f"{len(limited)} of 150 quick clicks were answered 429"


def _front_lines(compose: Compose, route: str) -> list[str]:
    return [line for line in compose("logs", "frontend").splitlines() if f'"route":"{route}' in line]


def _stream_comes_at_once(compose: Compose) -> bool:
    """Whether the first event comes while the stream is still open: the worker is stopped, so nothing ends it."""
    compose("stop", "celery_worker")
    code = compose.ledger("issue", "--max-uses", "1")[0]["code"]
    reserved = ask(compose.port, "POST", "/api/v1/public/redeem", {"email": "stream@example.com", "code": code})
    path = f"/api/v1/public/redemptions/{reserved.json()['reservation_id']}/stream"
    with socket.create_connection(("127.0.0.1", compose.port), 10) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        stream.settimeout(10)
        while b"data: {" not in received and (more := stream.recv(4096)):
            received += more
    compose.up()
    return b"data: {" in received


def each_container_killed_in_turn(compose: Compose) -> str:
    """While it is dead: redeems continue without Redis, worker and beat. Afterwards: everybody has one mail."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    sentences = []
    for service in SERVICES:
        people.click_patiently(code)
        compose("kill", service)
        answer = people.click(code, people.next())
        status = answer.status
        sentences.append(f"{service} {status}")
        if service in NEEDED:
            ensure(status == 503 and answer.headers.get("retry-after"), f"without {service} a redeem got {status}")
        if service in TAKES_REDEEMS_WITHOUT:
            ensure(status == 202, f"without {service} a redeem was answered {status}")
        compose.up()
        people.click_patiently(code)
    wait(people.all_are_served, SERVED_S_MAX, f"everybody has one mail: {people.states()}")
    history = compose.ledger("history", code)
    used = history["used_count"]
    ensure(used == len(people.promised), f"used {used}, {len(people.promised)} promises")
    return f"answers while dead: {', '.join(sentences)}; {len(people.promised)} promises, as many mails"


def more_of_them(compose: Compose) -> str:
    """Four workers and two backends share the work."""
    compose.up("--scale", "celery_worker=4", "--scale", "backend=2")
    health = compose.health()
    ensure((len(health["celery_worker"]), len(health["backend"])) == (4, 2), f"{health}")
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    names: set[str] = set()

    def both_redeem() -> bool:
        people.click_patiently(code)
        lines = compose("logs", "--no-color", "backend").splitlines()
        names.update(name[0] for line in lines if '"redeem"' in line and (name := re.search(r"backend-\d+", line)))
        return len(names) >= 2 and len(people.promised) >= 20

    wait(both_redeem, 60, "each backend takes redeems")
    wait(people.all_are_served, SERVED_S_MAX, "everybody has one mail")
    compose.up("--scale", "celery_worker=1", "--scale", "backend=1")
    return f"redeems were taken by {', '.join(sorted(names))}"


def an_upgrade_with_traffic_on(compose: Compose, to: str, install: Callable[[], None]) -> str:
    """Every container is replaced by one of another image during redeem requests; every acknowledgement is kept."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    traffic = Traffic(people, code)
    wait(lambda: len(people.promised) >= 3, 60, "traffic before the upgrade")
    install()
    compose.image = to
    compose.up("--no-build")
    before = len(people.promised)
    wait(lambda: len(people.promised) >= before + 3, 60, "traffic after the upgrade")
    traffic.stop()
    image = compose.inspect("backend")["Config"]["Image"]
    ensure(image == to, f"the backend runs {image}")
    wait(people.all_are_served, SERVED_S_MAX, f"everybody has one mail: {people.states()}")
    return f"{len(people.promised)} people clicked, {traffic.waited} had to click again, each has one mail"


def down_and_up_keeps_everything(compose: Compose) -> str:
    """Codes, uses, secrets and emails; a repeated click finds its reservation."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "5")[0]["code"]
    person, _ = people.click_patiently(code)
    wait(people.all_are_served, SERVED_S_MAX, "the mail")
    history, secrets = compose.ledger("history", code), compose("exec", "-T", "backend", "cat", "/secrets/secrets.env")
    compose("down")
    compose.up()
    ensure(compose("exec", "-T", "backend", "cat", "/secrets/secrets.env") == secrets, "the secrets are others")
    ensure(compose.ledger("history", code) == history, "the history is another")
    again = people.click(code, person)
    ensure((again.status, again.json()["state"]) == (200, "sent"), f"{again.status} {again.body!r}")
    return f"{len(history['events'])} events as before"


def several_first_backends_at_once(compose: Compose) -> str:
    """On empty volumes: secrets are generated once, migrations run once, all become healthy."""
    compose("down", "--volumes")
    compose.up("--scale", "backend=3")
    health = compose.health()
    ensure(health["backend"] == ["healthy"] * 3, f"{health}")
    generated_count = compose("logs", "migrate", *OWN).count("new secrets were generated")
    ensure(generated_count == 1, f"secrets were generated {generated_count} times")
    people = RedeemRecord(compose)
    people.click_patiently(compose.ledger("issue", "--max-uses", "1")[0]["code"])
    wait(people.all_are_served, SERVED_S_MAX, "the mail")
    return "three backends, one set of secrets, one migration"
