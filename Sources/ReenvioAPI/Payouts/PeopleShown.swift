import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What callers see of the people that payouts name (`docs/contract.md` 14): everything with `people:read`, which is
/// counted and, where a list shows it, noted in the audit; else masked texts.
struct PeopleShown: Sendable {
    private let engine: Engine
    private let audit: CollapsedAudit

    init(_ engine: Engine, audit: CollapsedAudit) {
        self.engine = engine
        self.audit = audit
    }

    /// A payout as the caller may see it.
    func payout(_ payout: Payout, for caller: Caller) -> Payout {
        guard payout.parties != nil else { return payout }
        if caller.may(.peopleRead) {
            engine.notePeopleRead()
            return payout
        }
        return payout.masked
    }

    /// A page of payouts. The row of the audit is written before anything is shown.
    func payouts(_ payouts: [Payout], for call: Call) async throws -> [Payout] {
        let caller = try call.requireCaller()
        let count = payouts.count { $0.parties != nil }
        guard count > 0 else { return payouts }
        guard caller.may(.peopleRead) else { return payouts.map(\.masked) }
        let now = engine.clock.wall
        try await audit.note("people.read", by: call.requester, now: now) { repeated in
            try await engine.store.recordPeopleRead(
                accountID: caller.accountID, parameters: CollapsedAudit.text(repeated), by: call.requester, now: now)
        }
        engine.notePeopleRead(count)
        return payouts
    }
}

extension Payout {
    fileprivate var masked: Payout {
        var masked = self
        masked.parties = parties?.masked
        return masked
    }
}
