"""The composition root of the API: settings in, a FastAPI application out."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from functools import cache, partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.oidc.identity_provider import (
    DOCUMENT_BYTES_MAX,
    EVERY_NETWORK,
    REQUEST_S_MAX,
    ClientRegistration,
    IdentityProvider,
)
from api.errors import ApplicationError
from api.http.allowed_hosts import guarded_hosts
from api.http.allowed_methods import find_wrong_method, not_found, without_slash
from api.http.dependencies import request_id_of
from api.http.dependency_status import DependencyStatus
from api.http.head_requests import AnswerHead
from api.http.middleware import RequestEnvelope, RequestEnvelopeMiddleware
from api.http.openapi import described, operation_id
from api.http.problems import HttpError, headers_of, language_of, problem_response, retry_headers, status_of
from api.http.server.direct_route import DirectRoute
from api.http.server.stream_slots import (
    FEED_READERS_MAX,
    HISTORY_VIEWERS_MAX,
    STATUS_STREAMS_MAX,
    STATUS_STREAMS_PER_CLIENT_MAX,
    StreamSlots,
)
from api.http.trusted_proxies import behind_proxies, forwarded_reader
from api.http.validation_errors import problem_of
from api.i18n.catalogs import translator
from api.i18n.languages import LANGUAGES
from api.mcp import endpoint, own_reads, stdio
from api.mcp.own_reads import FrontEndReads
from api.mcp.questions import Questions
from api.mcp.read_only_services import open_read_only
from api.mcp.toolbox import ToolSet
from api.rate_limits.guard import Guard
from api.rate_limits.report_exchange import report_periodically
from api.schemas.groups import BODY_BYTES_MAX as BRANDING_BYTES_MAX
from api.schemas.redemption_batch import BODY_BYTES_MAX as BATCH_BYTES_MAX
from api.settings import ApiSettings
from api.use_cases.mail_hooks.hook import MailHook
from api.use_cases.mail_hooks.providers import open_mail_hook
from api.use_cases.privacy.erase_person import PersonErasure
from api.use_cases.services import Caller, Services
from api.v1 import group_branding, hand_outs
from api.v1.codes import code_import
from api.v1.public import redeem
from api.v1.public.direct_redeem import DirectRedeem
from api.v1.reservations import redemption_batches
from api.v1.router import include_resources
from api.v1.webhooks import mail_hooks
from api.web.admin import AdminContext, PreviewSender, include_admin
from api.web.admin.code_import import FILE_BYTES_MAX
from api.web.admin.code_import import PATH as IMPORT_PATH
from api.web.admin.groups import BRANDING_PATH
from api.web.admin.hand_outs import recipient_pages
from api.web.errors import error_page, wants_html
from api.web.errors_before_routes import refuse_body, refuse_host, refuse_invalid_host
from api.web.public import api_reference, documentation, mailbox
from api.web.public.router import include_pages
from api.web.static_files import mount_static
from api.web.support import SignInGate, SupportContext, include_support
from api.web.support.dashboard import DashboardCache
from api.web.support.history.history_watch import HistoryWatch
from api.web.support.history.live_page import SupportSource
from domain.commands.context import CommandContext
from domain.errors import Refusal
from projections.config.broker_url import BrokerUrl
from projections.config.unknown_settings import log_ignored_settings
from projections.database.errors import StorageUnavailableError
from projections.database.stalled_writers import StalledWriterWatch
from projections.monitoring.commit_probe import CommitProbe
from projections.monitoring.disk import DiskCollector
from projections.monitoring.ledger_collector import LedgerCollector
from projections.monitoring.pool_metrics import show_pool
from projections.privacy.erasure import ErasedIdsFile
from projections.read_models.past_states import PastStateReader
from projections.read_models.reader import Reader
from projections.repositories.audit_log import ProofRequiredError
from projections.repositories.channel_form import ChannelForm
from projections.repositories.rate_limit_reports import RateLimitReportRepository
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import AsyncGroupCommit
from projections.storage.pipelined_execute import PipelinedExecute
from projections.storage.report_store import ReportStore
from projections.telemetry.exposition import Exposition
from projections.telemetry.gc_tuning import tune
from projections.telemetry.log_setup import configure_logs
from projections.telemetry.metrics import ERRORS, REDEEM_REQUESTS, STARTED, declare_zeroes
from projections.telemetry.tracing import TRACING, trace_redemptions
from projections.vault.random_source import RANDOM
from workers.dispatcher import BackgroundDispatcher
from workers.monitoring.broker_watch import BrokerMonitor

log = logging.getLogger(__name__)

T = TypeVar("T")

VERSION: Final = version("redemption-ledger")
OPEN_ATTEMPTS, OPEN_PAUSE_S = 60, 0.5
"""How often a starting process tries its database, and the pause between attempts in seconds."""

FETCH_TIMEOUT_S = 5.0
"""Seconds for a certificate of a mail provider; within `LEDGER_REQUEST_WAIT_S`, so that its request is answered."""

DESCRIBED = "/api/v1/openapi.json"
DESCRIPTION = """Redeem codes for invitations, and read from an append-only ledger what happened to each use.

Errors are problem documents (RFC 9457) with a stable `code`; texts are in Chinese or English by `Accept-Language`.
Lists continue by cursor, `/api/v1/events` by position. Timestamps in requests must be between 2000-01-01 and
8999-12-31 UTC. Within v1, fields, values, event types and operations are only added, never removed."""


class LedgerAPI(FastAPI):
    """FastAPI with our own layers around it: its telemetry and middleware take longer than a whole redeem."""

    around: ASGIApp
    direct_route: DirectRoute

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, built once."""
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi())
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        scope["app"] = self
        await self.around(scope, receive, send)


def create_app(settings: ApiSettings | None = None) -> FastAPI:
    """Build the application. Connections are opened when it starts, not here.

    Raises:
        pydantic.ValidationError: A setting is missing or malformed.
    """
    settings = settings or ApiSettings.from_environment()
    configure_logs()
    log_ignored_settings()
    declare_zeroes()
    STARTED.labels("backend").set_to_current_time()
    for language in LANGUAGES:
        translator(language)  # a broken catalog ends the start, not a request
    app = LedgerAPI(
        title="Redemption Ledger",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_lifespan(settings),
        openapi_url=DESCRIBED,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,  # it would send a browser to whatever name the Host header holds
    )
    _include_routes(app, settings)
    _handle_faults(app)
    application = AnswerHead(SignInGate(partial(FastAPI.__call__, app), get_support=lambda: app.state.support))
    hosts = guarded_hosts(application, settings.public_url, settings.hosts, refuse_host, refuse_invalid_host)
    envelope = RequestEnvelope(
        new_request_id=lambda: RANDOM.draw_bytes(8).hex(), quiet=("/healthz", "/readyz", "/metrics", "/static")
    )
    bounded = RequestEnvelopeMiddleware(
        hosts,
        envelope,
        body_bytes_max=settings.body_bytes_max,
        files={
            IMPORT_PATH: FILE_BYTES_MAX,
            code_import.PATH: code_import.BODY_BYTES_MAX,
            redemption_batches.PATH: BATCH_BYTES_MAX,
            **mail_hooks.BODIES,
            hand_outs.UPLOAD_PATH: hand_outs.UPLOAD_BYTES_MAX,
            group_branding.PATH: BRANDING_BYTES_MAX,
            BRANDING_PATH: BRANDING_BYTES_MAX,
            recipient_pages.UPLOAD_PATH: recipient_pages.FILE_BYTES_MAX,
        },
        refuse=refuse_body,
    )
    app.direct_route = DirectRedeem(
        body_bytes_max=settings.body_bytes_max,
        envelope=envelope,
        permits_host=hosts.permits,
        read_forwarded=forwarded_reader(settings.proxies),
        services=lambda: app.state.services,
        defect=_log_defect,
    )
    app.around = behind_proxies(bounded, settings.proxies)
    return app


def _include_routes(app: FastAPI, settings: ApiSettings) -> None:
    """Add all routes; tests/security/matrix.py says who may call each."""
    app.router.routes.extend(_build_fixed_routes())
    for router in _routers_of(app, settings):
        app.include_router(router, include_in_schema=False)
    mount_static(app)
    documentation.mount_documentation(app)


@cache
def _build_fixed_routes() -> Sequence[BaseRoute]:
    """Build the routes that no setting changes, once in a process.

    FastAPI prepares a route at the first request, in more than a millisecond of CPU, and keeps the result in the route.
    """
    router = APIRouter(generate_unique_id_function=operation_id)
    include_resources(router)
    include_pages(router)
    include_support(router)
    include_admin(router)
    router.include_router(endpoint.router)
    return router.routes


def _routers_of(app: FastAPI, settings: ApiSettings) -> Iterator[APIRouter]:
    """Give the routers that settings change; there is a mailbox if they name the Maildir of a mail catcher."""
    yield api_reference.build_router(app.openapi, DESCRIBED, settings.default_language)
    yield documentation.build_router(settings.public_url)
    if settings.mailbox is not None:
        yield mailbox.build_router(settings.mailbox, settings.default_language)


async def _storage(settings: ApiSettings) -> LedgerStore:
    """Open the store; wait for an unavailable database, because restarting this process would take longer.

    Raises:
        StorageUnavailableError: It was unavailable for all attempts; the supervisor may restart this process.
        SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
    """
    for _ in range(OPEN_ATTEMPTS):
        try:
            return LedgerStore.open(settings)
        except StorageUnavailableError as error:
            log.warning("connecting to the database failed", extra={"why": str(error)})
            await asyncio.sleep(OPEN_PAUSE_S)
    return LedgerStore.open(settings)


def _lifespan(settings: ApiSettings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with await _storage(settings) as storage, _tracing(settings, storage):
            erase_again(storage, settings)
            commit = AsyncGroupCommit(PipelinedExecute(storage), storage.ledger.execute, settings.request_wait_s)
            watch = _watch_broker(settings.redis_url.get_secret_value())
            silent, reports = StalledWriterWatch(storage.datastore), ReportStore.open(settings, storage)
            dispatcher, guard = BackgroundDispatcher(_publish, _count_celery_error), _guard(settings, storage)
            app.state.services = Services(
                settings=settings,
                storage=storage,
                reader=Reader(storage),
                commit=commit,
                dispatcher=dispatcher,
                approvals=settings.approval_policy,
                check_commit=CommitProbe(storage.datastore).check,
                broker_missing=watch.missing,
                reports=reports,
                new_id=RANDOM.draw_uuid,
                new_ordered_id=RANDOM.draw_ordered_uuid,
                states=PastStateReader(storage),
                guard=guard,
                channel_kinds=_channel_kinds(),
            )
            app.state.hook_post = app.state.mail_preview = preview_sender = _preview_sender(settings, storage)
            provider = _identity_provider(settings)
            app.state.support = SupportContext.from_services(app.state.services, preview_sender, provider)
            app.state.viewers = StreamSlots(HISTORY_VIEWERS_MAX)
            app.state.streams = StreamSlots(STATUS_STREAMS_MAX, STATUS_STREAMS_PER_CLIENT_MAX)
            app.state.readers = StreamSlots(FEED_READERS_MAX)
            app.state.history_watch = HistoryWatch(SupportSource(app.state.support), app.state.services.run_blocking)
            app.state.dashboard = DashboardCache.from_services(app.state.services)
            app.state.mail_hook = _mail_hook(settings)
            app.state.admin = AdminContext.from_services(app.state.services, app.state.support, preview_sender)
            app.state.exposition = _build_exposition(settings, storage, watch, reports)
            tune()
            try:
                exchange = RateLimitReportRepository(storage, RANDOM.draw_uuid()).exchange
                async with AsyncExitStack() as stack, report_periodically(guard, exchange):
                    app.state.questions = _once(partial(open_questions, app.state.services, stack))
                    yield
            finally:
                await asyncio.to_thread(app.state.admin.runner.close)
                await asyncio.to_thread(app.state.support.mailer.close)
                await app.state.services.key_uses.wait()
                await app.state.services.other_questions.aclose()
                await commit.aclose()
                dispatcher.close()
                watch.close()
                silent.close()
                reports.close()

    return lifespan


def _build_exposition(
    settings: ApiSettings, storage: LedgerStore, watch: BrokerMonitor, reports: ReportStore
) -> Exposition:
    ledger, disk = LedgerCollector(settings.database_url.get_secret_value()), DiskCollector(settings.monitored_path)
    return Exposition([ledger, watch.numbers, reports.numbers, disk], before=lambda: show_pool(storage))


async def open_questions(services: Services, stack: AsyncExitStack) -> Questions:
    """Return what answers the questions of assistants: from the routes that offer themselves as tools."""
    tools = await asyncio.to_thread(collect_tools)
    tools.app.state.services = reading = await open_read_only(services, stack)
    tools.app.state.front_end = FrontEndReads(
        check_server=partial(_check_server, services.settings),
        read_handbook=partial(documentation.read_page, "support/handbook.md"),
    )
    return Questions(tools, services, reading)


def _check_server(settings: ApiSettings) -> Iterator[Mapping[str, str]]:
    """Make the checks of `ledger doctor`, imported locally too."""
    from api.cli.doctor.served_checks import check_server  # noqa: PLC0415 - clients of servers are not needed to serve

    for result in check_server(settings):
        yield {"name": result.name, "status": result.status, "finding": result.found, "remedy": result.remedy}


def _once(open_first: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """Return a function that opens something at its first call, and returns it at each."""
    lock, results = asyncio.Lock(), list[T]()

    async def get() -> T:
        async with lock:
            if not results:
                results.append(await open_first())
        return results[0]

    return get


def collect_tools() -> ToolSet:
    """Return the tools of assistants; their application needs services before it answers."""
    return ToolSet.build([*_build_fixed_routes(), *own_reads.router.routes])


def serve_stdio(settings: ApiSettings, secret: str | None, new_caller: Callable[[], Caller]) -> None:
    """Serve the tools to one client over stdin and stdout; arguments and errors are those of `stdio.serve`."""
    stdio.serve(create_app(settings), secret, new_caller)


def _watch_broker(url: str) -> BrokerMonitor:
    return BrokerMonitor(url, report=DependencyStatus(BrokerUrl.parse(url).product).log_changes)


def _guard(settings: ApiSettings, storage: LedgerStore) -> Guard | None:
    """Return the rate limits; None where they are off."""
    is_limited = settings.rate_limit == "on"
    return Guard(storage.vault.digest_client, time.monotonic, settings.invitation_rates) if is_limited else None


def erase_again(storage: LedgerStore, settings: ApiSettings) -> None:
    """Erase the listed recipients again that a restored backup has brought back, before any request is served."""

    def context() -> CommandContext:
        return CommandContext(now=storage.recorder.clock.now(), actor="operator", actor_id="start")

    number = PersonErasure(storage, ErasedIdsFile(settings.erased_ids_path), context, RANDOM.draw_uuid).erase_again()
    if number:
        log.warning("restored people erased again", extra={"count": number})


def _tracing(settings: ApiSettings, storage: LedgerStore) -> AbstractContextManager[None]:
    return trace_redemptions(
        settings.traces_url, settings.traces_ratio, "backend", storage.recorder.clock.now, RANDOM.draw_bytes
    )


def _publish(ids: Sequence[UUID]) -> None:
    """Publish one message to Celery. The import is local: only here does the API use the workers."""
    from workers.tasks import publish_ids  # noqa: PLC0415 - Celery is not needed to build the app or its OpenAPI document

    started_at = TRACING.read_clock()
    publish_ids(ids)
    TRACING.record_wake_up(ids, started_at)


def _preview_sender(settings: ApiSettings, storage: LedgerStore) -> PreviewSender:
    """Return the workers' renderer of messages, imported locally too."""
    from workers.mail_preview import MailPreviewer  # noqa: PLC0415 - templates of letters are not needed to build the app

    return MailPreviewer(settings, storage)


def _mail_hook(settings: ApiSettings) -> MailHook | None:
    """Return the hook of the mail provider, if one is configured; the workers' HTTP client is imported locally too."""
    from workers.http_client.client import PinnedHttpClient  # noqa: PLC0415 - TLS is not needed to build the app

    if settings.mail_provider is None or settings.mail_hook_secret is None:
        return None
    fetch = PinnedHttpClient((), FETCH_TIMEOUT_S).fetch
    return open_mail_hook(settings.mail_provider, settings.mail_hook_secret.get_secret_value(), fetch)


def _identity_provider(settings: ApiSettings) -> IdentityProvider | None:
    """Return the identity provider of staff, if one is configured; the operator chose it, so it may be anywhere."""
    from workers.http_client.client import PinnedHttpClient  # noqa: PLC0415 - as above

    if settings.oidc_issuer is None:
        return None
    http_client = PinnedHttpClient(EVERY_NETWORK, REQUEST_S_MAX, body_bytes_max=DOCUMENT_BYTES_MAX)
    return IdentityProvider(ClientRegistration.of(settings), http_client.exchange, time.monotonic)


def _channel_kinds() -> Mapping[str, ChannelForm]:
    """Return the kinds of channels that groups can have, imported locally too."""
    from workers.channels.registry import channel_kinds  # noqa: PLC0415 - templates of emails are not needed to build the app

    return channel_kinds()


def _count_celery_error(error: Exception) -> None:
    """Count and log a failed publish. Its outcome is unknown, so it is retried."""
    ERRORS.labels("celery_error").inc()
    log.warning("publishing to the broker failed", extra={"why": type(error).__name__})


def _handle_faults(app: FastAPI) -> None:
    """Answer every error with a problem document, or with a page if a browser asks."""

    async def answer(request: Request, problem: ApplicationError) -> Response:
        language = language_of(request)
        request.scope["ledger_outcome"] = problem.code
        if wants_html(request):
            page = error_page(request, status_of(problem.code), problem.code, language, **problem.facts)
            page.headers.update({**headers_of(problem), **retry_headers(problem.retry_after_s)})
            return page
        return problem_response(problem, language, request_id_of(request))

    @app.exception_handler(ApplicationError)
    @app.exception_handler(ProofRequiredError)
    @app.exception_handler(Refusal)
    async def on_problem(request: Request, error: ApplicationError | ProofRequiredError | Refusal) -> Response:
        return await answer(request, _problem_for(error))

    @app.exception_handler(RequestValidationError)
    async def on_malformed(request: Request, error: RequestValidationError) -> Response:
        if request.url.path == redeem.PATH:
            REDEEM_REQUESTS.labels("malformed").inc()
        return await answer(request, find_wrong_method(request, error) or problem_of(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        codes_by_status = {
            HTTPStatus.NOT_FOUND: "NOT_FOUND",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "BODY_TOO_LARGE",
        }
        if error.status_code == HTTPStatus.NOT_FOUND and (target := without_slash(request)) is not None:
            return RedirectResponse(target, HTTPStatus.TEMPORARY_REDIRECT)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return await answer(request, not_found(request))
        code = codes_by_status.get(HTTPStatus(error.status_code), "MALFORMED")
        return await answer(request, HttpError(code, error.headers or {}))

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> Response:
        _log_defect(error)
        return await answer(request, ApplicationError("INTERNAL"))


def _problem_for(error: ApplicationError | ProofRequiredError | Refusal) -> ApplicationError:
    if isinstance(error, ProofRequiredError):
        return ApplicationError("PROOF_REQUIRED")
    return ApplicationError.from_refusal(error) if isinstance(error, Refusal) else error


def _log_defect(error: Exception) -> None:
    ERRORS.labels("internal_error").inc()
    log.error("request failed", exc_info=error)
