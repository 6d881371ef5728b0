"""The delivery log of a payout, as its readers look at it (C 13.10)."""

from .client import PAYMENTS
from .waiting import eventually


def log_of(client, payout_id):
    return client.expect(200, "GET", f"{PAYMENTS}/{payout_id}/notifications")["data"]


def resend_path(payout_id):
    return f"{PAYMENTS}/{payout_id}/notifications/resend"


def paid(merchant, operator, url, status_id=3):
    payout_id = merchant.create_payout(notification_url=url)["id"]
    operator.transition(payout_id, status_id)
    return payout_id


def first_attempt(client, payout_id, within=20.0):
    """The first attempt in the payout's log, once there is one, with its delivery."""
    def look():
        (notification,) = log_of(client, payout_id)
        (delivery,) = notification["deliveries"]
        return delivery["attempts"] and (delivery, delivery["attempts"][0])

    return eventually(look, f"payout {payout_id} had an attempt in its log", within)


def wait_for_states(client, payout_id, *states):
    """The newest notification's deliveries, once they are in these states, whatever their order."""
    def look():
        deliveries = log_of(client, payout_id)[0]["deliveries"]
        return sorted(one["state"] for one in deliveries) == sorted(states) and deliveries

    return eventually(look, f"the deliveries of payout {payout_id} were {states}")
