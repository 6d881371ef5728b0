package import ReenvioModel
package import ReenvioStore

extension Engine {
    /// Takes a v3 resend in (`docs/contract.md` 6); the runner begins it.
    package func openLog(_ request: ResendLogRequest, _ opening: LogOpening) async throws -> LogOpened {
        let opened = try await store.openLog(request, opening, now: clock.wall)
        if case .opened = opened { runner.doorbell.ring() }
        return opened
    }
}
