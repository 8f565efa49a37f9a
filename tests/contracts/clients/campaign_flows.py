"""What integrators do with campaigns, hand-outs, channels, webhooks, events and persons, by the generated client."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import generated_ledger_models as m
import msgspec
from standardwebhooks import Webhook

from tests.contracts.clients.client_world import GROUP, HOOK_CREDENTIALS, ClientWorld
from tests.contracts.clients.strict_client import StrictClient
from tests.support.images import make_gif

TARGET = "http://127.0.0.1:1/hooks"


def _create_campaign(client: StrictClient, name: str) -> m.CampaignView:
    body = m.CampaignRequest(name=name, max_uses=10, max_per_person=1, code_validity_days=30)
    return client.call(m.CampaignView, "campaigns_create", body, status=201, headers={"idempotency-key": name})


def run_a_campaign(client: StrictClient, _: ClientWorld) -> None:
    campaign = _create_campaign(client, "Autumn")
    named = {"campaign_id": campaign.id}
    change = m.CampaignChange(max_uses=20, max_per_day=5)
    changed = client.call(m.CampaignView, "campaigns_change", change, path=named)
    limits = m.CampaignsPreviewParametersQuery(max_uses=5)
    preview = client.call(m.LimitPreview, "campaigns_preview", query=limits, path=named)
    joined, issued = (
        client.call(list[m.IssuedCode], "codes_issue", m.IssueRequest(campaign=each))[0] for each in (None, campaign.id)
    )
    client.call(m.CodeView, "codes_join_campaign", m.JoinRequest(campaign=campaign.id), path={"code_id": joined.id})
    request = m.RedeemRequest(email="li.wei@example.com", code=issued.code)
    client.call(m.RedemptionView, "public_redeem", request, status=202)
    limited = m.RedeemRequest(email="li.wei@example.com", code=joined.code)
    refused = client.call(m.Problem, "public_redeem", limited, status=400)
    states = [
        client.call(m.CampaignView, f"campaigns_{action}", path=named).state for action in ("pause", "resume", "end")
    ]
    read = client.call(m.CampaignView, "campaigns_get", path=named)
    gone = client.call(m.Problem, "campaigns_get", status=404, path={"campaign_id": UUID(int=7)})

    assert (campaign.max_uses, changed.max_uses, changed.max_per_person, changed.name) == (10, 20, 1, "Autumn")
    assert [choice.counting for choice in preview.choices] == ["all", "from_now"]
    assert (refused.code, gone.code) == ("PERSON_LIMIT", "NOT_FOUND")
    assert (states, read.codes, read.reserved) == (["paused", "active", "ended"], 2, 1)
    _read_campaign(client, campaign.id)


def _read_campaign(client: StrictClient, campaign_id: UUID) -> None:
    named = {"campaign_id": campaign_id}
    history = client.call(m.CampaignHistory, "campaigns_history", path=named)
    as_table = m.CampaignsHistoryParametersQuery(format="csv")
    explained = client.call(m.CampaignExplanation, "campaigns_explain", path=named)
    as_uses = m.CampaignsExplainParametersQuery(format="csv")

    assert history.events[0].type == "CampaignCreated"
    assert explained.reserved == 1
    assert (
        len(client.call(str, "campaigns_history", query=as_table, path=named).splitlines()) == len(history.events) + 1
    )
    assert len(client.call(str, "campaigns_explain", query=as_uses, path=named).splitlines()) == 2


def wait_for_a_use(client: StrictClient, _: ClientWorld) -> None:
    """Join the waiting list of a full campaign, keep the place, read the list, and remove the place."""
    body = m.CampaignRequest(name="Full", max_uses=1, waiting_hours=24)
    campaign = client.call(m.CampaignView, "campaigns_create", body, status=201, headers={"idempotency-key": "full"})
    order = m.IssueRequest(campaign=campaign.id, max_uses=9, open=True)
    code = client.call(list[m.IssuedCode], "codes_issue", order)[0].code
    request = m.RedeemRequest(email="first@example.com", code=code)
    client.call(m.RedemptionView, "public_redeem", request, status=202)
    waiting = m.WaitingRequest(email="second@example.com", code=code)
    place, again = (client.call(m.WaitingView, "public_join_waiting_list", waiting) for _ in range(2))
    path = {"campaign_id": campaign.id}
    listed = client.call(m.WaitingListView, "campaigns_waiting_list", path=path)
    about = {**path, "place_id": listed.places[0].place_id}
    left = client.call(m.WaitingListView, "campaigns_remove_place", m.ReasonRequest(note="asked"), path=about)

    assert (place.state, place.ahead) == ("waiting", 0)
    assert (again.state, again.status_url) == ("listed", None)
    assert [each.email for each in listed.places] == ["s***@example.com"]
    assert left.places == []


def list_campaigns(client: StrictClient, _: ClientWorld) -> None:
    """Page after page to the end."""
    campaign_ids = [_create_campaign(client, f"Page {number}").id for number in range(3)]
    listed: list[UUID] = []
    cursor: str | None = None
    while True:
        query = m.CampaignsListCampaignsParametersQuery(limit=2, cursor=cursor)
        page = client.call(m.CampaignPage, "campaigns_list_campaigns", query=query)
        listed += [campaign.id for campaign in page.campaigns]
        if page.next is None:
            break
        cursor = page.next

    assert [each for each in listed if each in campaign_ids] == campaign_ids
    assert len(set(listed)) == len(listed)


def run_a_hand_out(client: StrictClient, _: ClientWorld) -> None:
    """Create it, upload lists in three forms, look at the email, pause, resume, end."""
    campaign = _create_campaign(client, "Newsletter")
    texts = m.HandOutTextsRequest(en=m.HandOutTextRequest(subject="For {name}", text="Dear {name}, your code: {code}"))
    body = m.HandOutRequest(campaign=campaign.id, name="Spring", texts=texts, per_minute=60, existing_codes=False)
    created = client.call(m.HandOutView, "hand_outs_create", body, status=201)
    named = {"hand_out_id": created.id}
    query = m.HandOutsUploadParametersQuery(hand_out=created.id, language="en")
    people = m.RecipientList(recipients=[m.Recipient(email="a@example.com", language="en", variables={"name": "Anna"})])
    lines = b'{"email":"b@example.com","name":"Ben"}\n{"email":"c@example.com","name":"Cleo"}\n'
    rows = b"email,name\na@example.com,A\n"
    added = [
        client.call(m.UploadView, "hand_outs_upload", people, query=query).added,
        client.call(m.UploadView, "hand_outs_upload", lines, media="application/jsonl", query=query).added,
        client.call(m.UploadView, "hand_outs_upload", rows, media="text/csv", query=query).added,
    ]
    changed = client.call(m.HandOutView, "hand_outs_change", m.HandOutChange(per_minute=30), path=named)
    preview = client.call(
        m.MailView, "hand_outs_preview", query=m.HandOutsPreviewParametersQuery(language="en"), path=named
    )
    test = client.call(m.TestMailView, "hand_outs_send_test", m.TestMailRequest(email="me@example.com"), path=named)
    states = [
        client.call(m.HandOutView, f"hand_outs_{action}", path=named).state for action in ("pause", "resume", "end")
    ]

    assert (added, created.state, changed.per_minute) == ([1, 2, 0], "running", 30)
    assert (preview.subject.startswith("For "), test.outcome != "") == (True, True)
    assert states == ["paused", "running", "ended"]
    assert client.call(m.HandOutView, "hand_outs_get", path=named).recipients == 3
    listed = m.HandOutsListHandOutsParametersQuery(campaign=campaign.id)
    assert [each.id for each in client.call(m.HandOutPage, "hand_outs_list_hand_outs", query=listed).hand_outs] == [
        created.id
    ]


def follow_recipients(client: StrictClient, world: ClientWorld) -> None:
    """Page after page; a bounce, a resend, and the export."""
    named = {"hand_out_id": world.hand_out_id}
    code = {**named, "code_id": world.handed_code_id}
    listed: list[UUID] = []
    after: int | None = 0
    while after is not None:
        query = m.HandOutsListRecipientsParametersQuery(limit=1, after=after)
        page = client.call(m.RecipientPage, "hand_outs_list_recipients", query=query, path=named)
        listed += [each.code_id for each in page.recipients]
        after = page.next
    bounced = client.call(m.RecipientView, "hand_outs_bounce", path=code)
    resent = client.call(m.RecipientView, "hand_outs_resend", path=code)
    reason = m.ExportRequest(reason="list for the newsletter")
    table = client.call(str, "hand_outs_export", reason, path=named)

    assert (len(set(listed)), str(listed[0])) == (2, world.handed_code_id)
    assert (bounced.state, resent.state) == ("bounced", "queued")
    assert len(table.splitlines()) == 3


def give_an_existing_code(client: StrictClient, _: ClientWorld) -> None:
    """Send a code that exists to one recipient."""
    campaign = _create_campaign(client, "Existing codes")
    body = m.HandOutRequest(campaign=campaign.id, name="Printed", existing_codes=True, max_uses=None)
    hand_out = client.call(m.HandOutView, "hand_outs_create", body, status=201)
    (issued,) = client.call(list[m.IssuedCode], "codes_issue", m.IssueRequest(campaign=campaign.id))
    request = m.GivenCodeRequest(code=issued.code, email="li.wei@example.com", language="zh", variables={"name": "Li"})
    recipient = client.call(m.RecipientView, "hand_outs_give", request, path={"hand_out_id": hand_out.id})

    assert recipient.code_id == issued.id


def brand_a_group(client: StrictClient, _: ClientWorld) -> None:
    """Set the color and the logo of its emails, and read them."""
    logo = base64.b64encode(make_gif(240, 64)).decode()
    changed = client.call(
        m.BrandingView, "groups_change_group_branding", m.BrandingRequest(group=GROUP, logo=logo, accent="#1F5FBF")
    )
    query = m.GroupsGetBrandingParametersQuery(group=GROUP)
    read = client.call(m.BrandingView, "groups_get_branding", query=query)

    assert isinstance(read.logo, m.LogoView)
    assert (read, read.accent, read.logo.data) == (changed, "#1f5fbf", logo)


def connect_a_group(client: StrictClient, world: ClientWorld) -> None:
    """Set its channel, rotate the secret, report by a signed callback, disconnect."""
    channel = client.call(m.ChannelView, "channels_put_channel", m.ChannelRequest(group=GROUP, url=TARGET))
    rotated = client.call(m.ChannelView, "channels_rotate_channel_secret", path={"channel_id": channel.id})
    listed = client.call(m.ChannelPage, "channels_list_channels")
    report = m.ChannelsCallbackRequest(
        type="invite.accepted", data=m.Data(reservation_id=UUID(world.sent[6].reservation_id))
    )
    body, now = msgspec.json.encode(report), datetime.now(UTC)
    assert isinstance(rotated.secret, str)
    headers = {
        "webhook-id": "report-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(rotated.secret).sign("report-1", now, body.decode()),
    }
    named = {"channel_id": channel.id}
    recorded = client.call(m.CallbackTaken, "channels_callback", body, headers=headers, path=named)
    forged = {**headers, "webhook-id": "report-2"}
    refused = client.call(m.Problem, "channels_callback", body, status=401, headers=forged, path=named)
    off = client.call(m.ChannelView, "channels_delete_channel", path=named)

    assert ([each.id for each in listed.channels], off.on) == ([channel.id], False)
    assert (recorded.changed, refused.code) == (True, "SIGNATURE_INVALID")


def report_by_a_mail_provider(client: StrictClient, _: ClientWorld) -> None:
    """A bounce without a token of this ledger is answered, and changes nothing; without credentials it is refused."""
    bounce = msgspec.json.encode({"RecordType": "Bounce", "Type": "HardBounce", "Metadata": {"delivery": "a" * 47}})
    named = {"provider": "postmark"}
    proof = {"Authorization": f"Basic {base64.b64encode(HOOK_CREDENTIALS.encode()).decode()}"}
    result = client.call(m.HookResult, "channels_mail_hook", bounce, headers=proof, path=named)
    refused = client.call(m.Problem, "channels_mail_hook", bounce, status=401, path=named)

    assert (result.taken, result.ignored, refused.code) == (0, 1, "SIGNATURE_INVALID")


def run_webhooks(client: StrictClient, world: ClientWorld) -> None:
    """Create, change, test, rotate, list and remove an endpoint; send messages again."""
    body = m.EndpointRequest(url=TARGET, event_types=["InviteSent"], concurrency=2)
    endpoint = client.call(m.EndpointView, "webhooks_make_webhook", body, status=201)
    named = {"endpoint_id": endpoint.id}
    disabled = client.call(m.EndpointView, "webhooks_change_webhook", m.EndpointChange(state="disabled"), path=named)
    client.call(m.EndpointView, "webhooks_rotate_webhook_secret", path=named)
    test = client.call(m.TestOutcome, "webhooks_send_webhook_test", path=named)
    read = client.call(m.EndpointView, "webhooks_get_webhook", path=named)
    listed = client.call(m.EndpointPage, "webhooks_list_webhooks")
    client.call(type(None), "webhooks_remove_webhook", status=204, path=named)
    client.call(m.Problem, "webhooks_get_webhook", status=404, path=named)
    refused = client.call(
        m.Problem, "webhooks_make_webhook", m.EndpointRequest(url="ftp://bi.example.com/"), status=422
    )

    assert (disabled.state, read.concurrency, test.taken, refused.code) == ("disabled", 2, False, "TARGET_REFUSED")
    assert endpoint.id in {each.id for each in listed.webhooks}
    _send_again(client, world)


def _send_again(client: StrictClient, world: ClientWorld) -> None:
    named = {"endpoint_id": world.endpoint_id}
    log = client.call(m.DeliveryPage, "webhooks_list_webhook_deliveries", path=named)
    one = client.call(m.Redelivered, "webhooks_redeliver_one", path={**named, "delivery_id": world.delivery_id})
    failed = client.call(m.Redelivered, "webhooks_redeliver_all_failed", path=named)

    assert {delivery.state for delivery in log.deliveries} == {"delivered", "failed"}
    assert (one.count, failed.count) == (1, 1)


def read_events(client: StrictClient, _: ClientWorld) -> None:
    """Page after page to the end of the log, then as a stream."""
    read: list[int] = []
    position, more = 0, True
    while more:
        query = m.EventsListEventsParametersQuery(after=position, limit=20)
        page = client.call(m.EventPage, "events_list_events", query=query)
        read += [event.position for event in page.events]
        position, more = page.next, page.more
    wrapped = m.EventsListEventsParametersQuery(after=read[-3], format="cloudevents")
    batch = client.call(list[m.CloudEvent], "events_list_events", query=wrapped)
    last = m.EventsStreamEventsParametersQuery(after=read[-2], seconds=1)
    stream = client.call(str, "events_stream_events", query=last)

    assert read == sorted(set(read))
    assert len(read) > 40
    assert [int(event.id) for event in batch] == read[-2:]
    assert f"id: {read[-1]}\n" in stream


def read_schemas(client: StrictClient, _: ClientWorld) -> None:
    """The list, and one of each kind."""
    listed = client.call(m.SchemaList, "events_list_schemas")
    event = client.call(dict[str, Any], "events_get_event_schema", path={"name": "UseReserved"})
    message = client.call(dict[str, Any], "events_get_message_schema", path={"name": "webhook.test"})
    document = client.call(dict[str, Any], "events_get_asyncapi")

    assert listed.events["UseReserved"].endswith("/schemas/UseReserved")
    assert (document["asyncapi"], listed.asyncapi) == ("3.0.0", "/api/v1/schemas/asyncapi")
    assert (event["title"], message["title"]) == ("UseReserved", "webhook.test")


def export_and_forget(client: StrictClient, world: ClientWorld) -> None:
    """Everything about a person, then nothing."""
    body = m.ForgetRequest(email=world.sent[7].email, reason="asked by mail")
    exported = client.call(m.PersonView, "recipients_export", body)
    forgotten = client.call(m.ForgottenView, "recipients_forget", body)
    after = client.call(m.PersonView, "recipients_export", body)

    assert (len(exported.people), len(forgotten.forgotten), after.people) == (1, 1, [])


def sign_in(client: StrictClient, world: ClientWorld) -> None:
    """By an API key, and by the session of a staff account, whose changes carry its token."""
    key = client.call(m.SessionView, "session_session")
    with client.with_headers({"cookie": world.staff_cookie}) as staff:
        session = staff.call(m.SessionView, "session_session")
        assert isinstance(session.csrf_token, str)
        body = m.CampaignRequest(name="Staff")
        without = staff.call(m.Problem, "campaigns_create", body, status=403)
        staff.call(m.CampaignView, "campaigns_create", body, status=201, headers={"x-csrf-token": session.csrf_token})
    with client.with_headers({}) as anyone:
        unauthorized = anyone.call(m.Problem, "session_session", status=401)

    assert (key.kind, key.role, key.csrf_token) == ("key", "admin", None)
    assert (session.kind, session.role) == ("staff", "admin")
    assert (without.code, unauthorized.code) == ("FORBIDDEN", "UNAUTHORIZED")


def read_health(client: StrictClient, _: ClientWorld) -> None:
    """What probes read."""
    assert client.call(dict[str, str], "operation_healthz") == {"status": "alive"}
    assert client.call(m.Readiness, "operation_readyz", status=200).status == "degraded"
    assert "ledger_" in client.call(str, "operation_metrics")


FLOWS = (
    *(
        run_a_campaign,
        wait_for_a_use,
        list_campaigns,
        run_a_hand_out,
        follow_recipients,
        give_an_existing_code,
        brand_a_group,
        connect_a_group,
        report_by_a_mail_provider,
    ),
    *(run_webhooks, read_events, read_schemas, export_and_forget, sign_in, read_health),
)
