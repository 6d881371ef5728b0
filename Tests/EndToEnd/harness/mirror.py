"""The v3 side of a platform: an account mirror, a user with a token, and what both ask for."""

from datetime import timedelta

from .binary import Shop
from .bodies import now
from .client import Client
from .tokens import new_user, sign_in, token_of
from .waiting import eventually

BRANCH = "0001"
NUMBER = "123456"
REGISTRATIONS = "/v3/accounts/api/webhooks"
RESEND = "/v3/webhooks/resend"
LOG_KEYS = [
    "id", "resend_type", "status", "object_reference_id", "account_mirror_id", "start_datetime", "end_datetime",
    "user_id", "created_at", "updated_at", "processed_at", "error_message",
]


def zulu(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Mirror(Shop):
    """A shop whose merchant is an account mirror, with a user that may act on it."""

    def __init__(self, house, merchant_id=303, user_id=246, branch=BRANCH, number=NUMBER):
        super().__init__(house, merchant_id, more=("--branch", branch, "--number", number))
        self.branch, self.number = branch, number
        self.user = new_user(house, self.account_id, id=user_id)

    def sign_in(self, server):
        """A client with a fresh token of the user."""
        return UserClient(server.url, token_of(sign_in(server, self.user)), self)

    @property
    def account(self):
        return {"source_account_branch_identifier": self.branch, "source_account_number": self.number}


class UserClient(Client):
    """Calls with a user's token."""

    def __init__(self, url, token, mirror):
        super().__init__(url, token)
        self.mirror = mirror

    def register(self, url, type_webhook, **fields):
        body = {"url": url, "type_webhook": type_webhook} | self.mirror.account | fields
        return self.expect(201, "POST", REGISTRATIONS, body)["webhook_id"]

    def range(self, resend_type, before=timedelta(hours=1), after=timedelta(hours=1), **more):
        """The body of a resend of everything around now."""
        dates = {"start_datetime": zulu(now() - before), "end_datetime": zulu(now() + after)}
        return {"resend_type": resend_type} | self.mirror.account | dates | more

    def resend(self, body):
        log = self.expect(201, "POST", RESEND, body)
        assert list(log) == LOG_KEYS
        assert (log["status"], log["processed_at"], log["error_message"]) == ("PENDING", None, None)
        return log

    def logs(self, **query):
        answer = self.get(RESEND, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def log(self, log_id):
        return next(one for one in self.logs(limit=100)["results"] if one["id"] == log_id)

    def wait_for_log(self, log_id, within=30.0):
        """The log in its final state."""
        eventually(
            lambda: self.log(log_id)["status"] in ("COMPLETED", "FAILED"), f"log {log_id} ended", within
        )
        return self.log(log_id)


def create_qr_code(client, merchant_id, **fields):
    body = {"merchant_id": merchant_id, "amount": 10, "debtor_document": "08293847532"} | fields
    return client.expect(201, "POST", "/v3/cashin/qrcodes", body)["qr_code_id"]


def report_cash_in(client, qr_code_id, event_type, **data):
    body = {"type": event_type, "data": data}
    return client.expect(201, "POST", f"/v3/cashin/qrcodes/{qr_code_id}/events", body)
