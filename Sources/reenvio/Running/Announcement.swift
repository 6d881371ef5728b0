import Synchronization

/// Says once where the server listens, when it does on every address that it was told.
final class Announcement: Sendable {
    struct Addresses: Sendable {
        var listening: String
        /// Of health, metrics and the dashboard, where they have one of their own.
        var admin: String?
    }

    private let bound = Mutex<(listening: String?, admin: String?)>((nil, nil))
    private let isOfBoth: Bool
    private let say: @Sendable (Addresses) async -> Void

    init(ofBoth: Bool, _ say: @escaping @Sendable (Addresses) async -> Void) {
        isOfBoth = ofBoth
        self.say = say
    }

    func note(listening: String? = nil, admin: String? = nil) async {
        let addresses = bound.withLock { bound -> Addresses? in
            bound = (listening ?? bound.listening, admin ?? bound.admin)
            guard let listening = bound.listening, bound.admin != nil || !isOfBoth else { return nil }
            return Addresses(listening: listening, admin: bound.admin)
        }
        if let addresses { await say(addresses) }
    }
}
