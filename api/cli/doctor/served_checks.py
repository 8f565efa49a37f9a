"""The checks of `ledger doctor` that a process of the server can make, without the files of the operator's machine."""

from api.cli.doctor.check_result import CheckResult, CheckResults
from api.cli.doctor.components import check_broker, check_identity_provider
from api.cli.doctor.database import check_database
from api.cli.doctor.deployment import find_deployment
from api.cli.doctor.standby import check_standby
from projections.config.settings import LedgerSettings


def check_server(settings: LedgerSettings) -> list[CheckResult]:
    """Check database, standby, broker, worker, beat and identity provider; write nothing.

    Args:
        settings: Those of the process.
    """
    deployment = find_deployment(is_embedded=False)

    def run() -> CheckResults:
        yield from check_database(settings, deployment, may_write=False)
        yield from check_standby(settings)
        yield from check_broker(settings.redis_url.get_secret_value(), deployment)
        yield from check_identity_provider(settings)

    return [deployment.localize_result(result) for result in run()]
