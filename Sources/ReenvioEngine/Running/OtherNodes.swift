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
        let listening = sharing.listen(ring)
        try? await gracefulShutdown()
        listening.stop()
    }
}
