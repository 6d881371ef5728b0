/// Which server this is: the cluster that it belongs to, and the timeline that it writes. Each promotion begins a new
/// timeline, so of two servers of one system that both take writes the one on the lower timeline is an old primary.
package struct ServerIdentity: Equatable, Sendable {
    /// Nil where our role may not ask for it; then any system may be meant.
    package var system: String?
    package var timeline: Int64

    package init(system: String?, timeline: Int64) {
        self.system = system
        self.timeline = timeline
    }

    /// As it stands in the store; nil for another text.
    package init?(stored text: String) {
        let words = text.split(separator: " ")
        guard words.count == 2, let timeline = Int64(words[1]) else { return nil }
        self.init(system: words[0] == "-" ? nil : String(words[0]), timeline: timeline)
    }

    package var stored: String { "\(system ?? "-") \(timeline)" }

    fileprivate func isOfAnotherSystem(than other: ServerIdentity) -> Bool {
        guard let system, let theirs = other.system else { return false }
        return system != theirs
    }
}

/// The servers that a process has worked on, and which one it may go on with.
package struct ServerHistory: Sendable {
    package enum Verdict: Equatable, Sendable {
        /// What the store says of itself.
        case known
        /// Newer than what the store says, which is to be written.
        case newer
        /// The store came here from another system, by a dump or an upgrade.
        case adopted(from: ServerIdentity)
        case refused(String)
    }

    /// The newest one seen.
    package private(set) var newest: ServerIdentity?
    /// Systems that this process has left for another one. It does not go back: both may take writes.
    private var left: Set<String> = []

    package init() {}

    /// - Parameter recorded: what the store on that server says of itself.
    package func judge(_ server: ServerIdentity, recorded: ServerIdentity?) -> Verdict {
        if let newest {
            if server.isOfAnotherSystem(than: newest) {
                guard server.system == recorded?.system, server.system.map(left.contains) == false else {
                    return .refused(
                        "this server is another database system (\(server.system ?? "")) than the one in use "
                            + "(\(newest.system ?? "")); a start of the process takes the store there")
                }
            } else if server.timeline < newest.timeline {
                return .refused(Self.old(server, newest))
            }
        }
        guard let recorded else { return .newer }
        if server.isOfAnotherSystem(than: recorded) { return .adopted(from: recorded) }
        if server.timeline < recorded.timeline {
            let isKnown = server.system != nil && recorded.system != nil
            return isKnown ? .refused(Self.old(server, recorded)) : .adopted(from: recorded)
        }
        return server == recorded ? .known : .newer
    }

    /// Whether it is the system in use, as far as either is known.
    func isOfSystemInUse(_ server: ServerIdentity) -> Bool {
        newest.map { !server.isOfAnotherSystem(than: $0) } ?? true
    }

    /// From now on nothing older will do.
    package mutating func see(_ server: ServerIdentity) {
        guard let newest else {
            self.newest = server
            return
        }
        if server.isOfAnotherSystem(than: newest) {
            if let system = newest.system { left.insert(system) }
            self.newest = server
        } else if server.timeline >= newest.timeline {
            self.newest = ServerIdentity(system: server.system ?? newest.system, timeline: server.timeline)
        }
    }

    /// Whether a connection to this server may still be used.
    package func isCurrent(_ server: ServerIdentity) -> Bool {
        guard let newest else { return true }
        return isOfSystemInUse(server) && server.timeline >= newest.timeline
    }

    private static func old(_ server: ServerIdentity, _ newest: ServerIdentity) -> String {
        "this server is on timeline \(server.timeline), the store has been on \(newest.timeline): "
            + "an old primary that came back"
    }
}
