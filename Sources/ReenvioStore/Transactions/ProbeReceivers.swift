import ReenvioModel

/// Ends holds whose time has come, and claims one delivery of each broken receiver whose probe is due
/// (`docs/contract.md` 3.4).
enum ProbeReceivers {
    /// Most receivers that one claim looks at; the others come up in the next.
    private static let receiversPerClaim = 64
    /// When a broken receiver without open deliveries is looked at again.
    private static let idleWait: Duration = .seconds(300)

    static func run(_ order: ClaimOrder, into result: inout ClaimResult, in db: any SQLConnection) throws {
        for before in try ReceiverStates.resuming(now: order.now, limit: receiversPerClaim, in: db) {
            var state = before
            if state.breaker == nil {
                state.heldUntil = nil
            } else {
                try probe(&state, order, into: &result, in: db)
            }
            try state.save(before: before, wall: order.wall, in: db)
        }
    }

    /// Claims the delivery that has been due for longest; the next probe may go when its lease ends. With nothing due
    /// it is looked again when something is; what comes in meanwhile brings that forward.
    private static func probe(
        _ state: inout ReceiverState, _ order: ClaimOrder, into result: inout ClaimResult, in db: any SQLConnection
    ) throws {
        guard let next = try ReceiverStates.earliestDue(state, in: db), next.at <= order.now else {
            state.lookAt = try ReceiverStates.earliestDue(state, in: db)?.at ?? order.now + idleWait
            return
        }
        let candidate = Turns.Candidate(merchantID: state.merchantID, queue: next.queue)
        try ClaimBatch([ClaimBatch.Part(candidate, 1, order, isProbe: true)], order).run(into: &result, in: db)
        result.queues.append((state.merchantID, next.queue, false))
        state.breaker?.nextProbe = order.leaseUntil
    }
}
