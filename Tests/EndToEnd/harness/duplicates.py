"""Webhooks that came again although the receiver had acknowledged them: only where the server cannot know that, and each
counted by `reenvio_possible_duplicates_total` before it is sent."""

import json

from .metrics import sample


class DuplicateBook:
    """Follows a receiver through the lives of several servers on one store. One notification per payout."""

    def __init__(self, house, shop, receiver):
        self.house, self.shop, self.receiver = house, shop, receiver
        self.lives = []

    def follow(self, server):
        """This server begins now; nothing is sent to the receiver by another."""
        self.server, self.begin = server, self.receiver.count
        return server

    def close(self):
        """Before the server is killed, or at the end: what came so far, then what was counted so far."""
        end = self.receiver.count
        counted = sample(self.server.client(self.shop.operator_key), "reenvio_possible_duplicates_total")
        self.lives.append((self.begin, end, int(counted)))

    def check(self):
        """At the end, with everything settled. Says what was found."""
        recorded = {}
        for payout_id, number, code in self.house.rows(
            "SELECT n.payout_id, a.number, a.status_code FROM attempts a JOIN notifications n ON n.id = a.notification_id"
        ):
            recorded[payout_id, number] = code
        received = self.receiver.received
        acknowledged = {}
        unknown, unanswered = set(), set()
        for place, one in enumerate(received):
            payout_id = json.loads(one.body)["id"]
            known = acknowledged.setdefault(payout_id, [])
            for number in known:
                code = recorded.get((payout_id, number), "none")
                assert code != 200, f"attempt {number} of payout {payout_id} was acknowledged and recorded; {one.attempt} came"
                # Recorded without a status: the connection was lost before the answer, by the receiver's doing.
                (unknown if code == "none" else unanswered).add(place)
            if one.answered == 200:
                known.append(one.attempt)
        for begin, end, counted in self.lives:
            seen = sum(begin <= place < end for place in unknown)
            assert seen <= counted, f"{seen} duplicates came in this server's life, and it counted {counted}"
        counted = sum(counted for _, _, counted in self.lives)
        return (
            f"{len(unknown)} duplicates of attempts in flight at a kill, {counted} counted as possible; "
            f"{len(unanswered - unknown)} of attempts whose connection the receiver cut"
        )
