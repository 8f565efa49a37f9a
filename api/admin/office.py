"""What the admin pages work with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.admin.ports import PostRoom
from api.admin.runner import BatchRunner
from api.services import Services
from api.support import Desk
from projections.read_models.code_list import CodeList
from projections.repositories.api_keys import ApiKeys
from projections.repositories.groups import Groups
from projections.repositories.issue_batches import Batches
from projections.repositories.staff_accounts import Accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One process's admin office. `desk` is that of support: sessions and the audit are the same."""

    services: Services
    desk: Desk
    post: PostRoom
    runner: BatchRunner
    batches: Batches
    codes: CodeList
    groups: Groups
    keys: ApiKeys
    accounts: Accounts

    @classmethod
    def over(cls, services: Services, desk: Desk, post: PostRoom) -> "Office":
        """An office over the services of a started application; its runner works from now on."""
        storage = services.storage
        batches, codes = Batches(storage), CodeList(storage)
        runner = BatchRunner(storage, batches, codes, services.new_id)
        runner.start()
        return cls(
            services=services,
            desk=desk,
            post=post,
            runner=runner,
            batches=batches,
            codes=codes,
            groups=Groups(storage),
            keys=ApiKeys(storage),
            accounts=Accounts(storage),
        )


async def _office(request: Request) -> Office:
    office: Office = request.app.state.admin
    return office


TheOffice = Annotated[Office, Depends(_office)]
