package import ReenvioStore
package import ServiceLifecycle

/// Listens for work that other nodes announce. Without it the work is found as well, a second later.
package struct OtherNodes: Service {
    private let sharing: any StoreSharing
    private let ring: @Sendable () -> Void

    package init(_ sharing: any StoreSharing, ring: @escaping @Sendable () -> Void) {
        self.sharing = sharing
        self.ring = ring
    }

    package func run() async throws {
        let listening = try await cancelWhenGracefulShutdown { try await listen() }
        try? await gracefulShutdown()
        listening?.stop()
    }

    /// Again each second while this machine has no thread or descriptor for it; nil when told to stop meanwhile.
    private func listen() async throws -> (any StoreListening)? {
        while !Task.isCancelled {
            if let listening = try? sharing.listen(ring) { return listening }
            try? await Task.sleep(for: .seconds(1))
        }
        return nil
    }
}
