package import ReenvioModel
package import ReenvioStore

/// URLs that move (`docs/contract.md` 13.16): what waits goes to its new receiver at once.
extension Engine {
    package func moveOrigin(_ move: OriginMove, by requester: Requester) async throws -> OriginMoved {
        let moved = try await store.moveOrigin(move, by: requester, now: clock.wall)
        if !move.isDryRun {
            dispatcher.doorbell.ring()
            janitor.doorbell.ring()
        }
        return moved
    }

    /// - Returns: false for an unknown payout.
    package func setPayoutURL(id: Int64, _ url: ReceiverURL, by requester: Requester) async throws -> Bool {
        let isFound = try await store.setPayoutURL(id: id, url, by: requester, now: clock.wall)
        if isFound { dispatcher.doorbell.ring() }
        return isFound
    }
}
