"""Request bodies, made-up people, and times in the formats of the contract (C 1.4)."""

from datetime import datetime, timedelta, timezone
from itertools import count

_invoices = count(1)


def payout_body(**fields):
    """A valid body of C 2.1; fields given as None are left out."""
    body = {
        "merchant_id": None,
        "payment_method": "PIX",
        "currency": "BRL",
        "country": "BR",
        "amount": 43.34,
        "invoice": fields.get("invoice") or f"invoice-{next(_invoices):06}",
        "beneficiary": {"name": "Beneficiary Name", "document": {"type": "CPF", "number": "82608288200"}},
        "pix": {"pix_key": "82608288200"},
    }
    body |= fields
    return {name: value for name, value in body.items() if value is not None}


def plain(moment):
    """`YYYY-MM-DD HH:MM:SS`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now():
    return datetime.now(timezone.utc)


def window(merchant_id, before_s=3600, after_s=3600, **more):
    """A resend of everything around now. A smaller `before_s` than last time is a later start time for certain, and so
    another lock; a larger one may meet the last start again when a second has passed."""
    moment = now()
    return {
        "merchant_id": merchant_id,
        "start_time": plain(moment - timedelta(seconds=before_s)),
        "end_time": plain(moment + timedelta(seconds=after_s)),
    } | more
