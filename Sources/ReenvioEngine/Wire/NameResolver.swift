import Foundation
package import NIOCore
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Asks the system for the addresses of a name; blocks, possibly for long.
package typealias Lookup = @Sendable (_ name: String) throws -> [IPAddress]

/// The name has no address, or its name server did not say so in time.
package struct NameNotResolved: Error {
    package init() {}
}

/// Names to addresses on bounded threads of our own (`docs/architecture.md` rule 10): one lookup in flight per name,
/// answers kept 30 s, failures 5 s, 2 s to answer. What turned out to lead nowhere is kept no longer than a second
/// (`renew`).
///
/// A lookup cannot be cancelled, so a name server that never answers holds a thread for as long as the system's
/// resolver keeps trying. Four rules keep that from delaying anybody else:
/// - who waits, waits at most `lookupWithin`; while a lookup is overdue, its name fails at once;
/// - a quarter of the threads serves only names that answered in time when they were last asked (*prompt*);
/// - the other names of one merchant get a quarter of the threads, overdue lookups included, and names whose last
///   lookup was overdue (*slow*) half of them over all merchants;
/// - an overdue lookup does not count against `lookupsAtOnce`, until three times as many are stuck.
package final class NameResolver: Sendable {
    package typealias StartThread = SystemThread.Start

    private let lookup: Lookup
    private let startThread: StartThread
    private let limits: WireLimits
    private let state: Mutex<Names>

    package init(
        limits: WireLimits = WireLimits(), lookup: @escaping Lookup = systemLookup,
        startThread: @escaping StartThread = SystemThread.start
    ) {
        self.lookup = lookup
        self.startThread = startThread
        self.limits = limits
        state = Mutex(Names(limits: limits))
    }

    /// Names kept now: at most `namesKept`, plus those being asked.
    package var namesKept: Int { state.withLock { $0.count } }
    package var lookupsRunning: Int { state.withLock { $0.runningCount } }

    /// The addresses of `name`, at once when they are known; fails with `NameNotResolved`, or with a `SenderShortage`.
    package func addresses(
        of name: String, for merchantID: Int64, on loop: any EventLoop
    ) -> EventLoopFuture<[IPAddress]> {
        let promise = loop.makePromise(of: [IPAddress].self)
        let (answer, start) = state.withLock { $0.ask(name, merchantID, promise, now: .now) }
        switch answer {
        case .known(let addresses): promise.succeed(addresses)
        case .failed: promise.fail(NameNotResolved())
        case .asked:
            // Whichever comes second, answer or time-out, finds the promise kept and changes nothing.
            let timeout = loop.scheduleTask(in: TimeAmount(limits.lookupWithin)) {
                promise.fail(NameNotResolved())
                self.run(self.state.withLock { $0.startable(now: .now) })
            }
            promise.futureResult.whenComplete { _ in timeout.cancel() }
        }
        run(start)
        return promise.futureResult
    }

    /// What is known of `name` led nowhere: the next dial asks again, unless it was asked within the last second.
    package func renew(_ name: String) {
        state.withLock { $0.renew(name, now: .now) }
    }

    private func run(_ names: [String]) {
        var names = names[...]
        while let name = names.popFirst() {
            if startThread({ self.work(name) }) { continue }
            // Fail the names queued behind it as well: they would find no thread either.
            names += settle(name, .failure(SenderShortage.threads))
        }
    }

    /// One thread: a lookup, then whatever waits for a thread; it ends when nothing does.
    private func work(_ first: String) {
        var name: String? = first
        while let asked = name {
            let more = settle(asked, Result { try lookup(asked) })
            name = more.first
            run(Array(more.dropFirst()))
        }
    }

    /// Tells those who wait for `name`, and returns the names that get a thread next.
    private func settle(_ name: String, _ found: Result<[IPAddress], any Error>) -> [String] {
        let (waiters, more) = state.withLock { names in
            (names.settle(name, found, now: .now), names.startable(now: .now))
        }
        for waiter in waiters {
            switch found {
            case .success(let addresses) where !addresses.isEmpty: waiter.succeed(addresses)
            case .failure(let shortage as SenderShortage): waiter.fail(shortage)
            default: waiter.fail(NameNotResolved())
            }
        }
        return more
    }
}

/// What is known of every name, and which lookups may run: a value, guarded by the resolver's lock.
private struct Names {
    typealias Waiter = EventLoopPromise<[IPAddress]>

    enum Answer {
        case known([IPAddress])
        case failed
        case asked
    }

    /// How the name's last lookup went.
    enum Standing { case new, prompt, slow }

    enum Knowledge {
        case known([IPAddress], since: ContinuousClock.Instant, until: ContinuousClock.Instant)
        case failed(since: ContinuousClock.Instant, until: ContinuousClock.Instant)
        case asking(since: ContinuousClock.Instant, waiters: [Waiter])
    }

    private struct Queued {
        var name: String
        var merchantID: Int64
    }

    private struct Running {
        var name: String
        var merchantID: Int64
        var since: ContinuousClock.Instant
        var standing: Standing
    }

    private var limits: WireLimits
    private var names: [String: (knowledge: Knowledge, standing: Standing)] = [:]
    private var running: [Running] = []
    private var queued: [Queued] = []

    var count: Int { names.count }
    var runningCount: Int { running.count }

    init(limits: WireLimits) {
        self.limits = limits
    }

    mutating func ask(
        _ name: String, _ merchantID: Int64, _ waiter: Waiter, now: ContinuousClock.Instant
    ) -> (answer: Answer, start: [String]) {
        let entry = names[name]
        switch entry?.knowledge {
        case .known(let addresses, _, let until) where now < until: return (.known(addresses), [])
        case .failed(_, let until) where now < until: return (.failed, [])
        case .asking(let since, _) where now - since >= limits.lookupWithin: return (.failed, startable(now: now))
        case .asking(let since, var waiters):
            waiters.append(waiter)
            names[name]?.knowledge = .asking(since: since, waiters: waiters)
            return (.asked, [])
        default:
            makeRoom(now: now)
            names[name] = (.asking(since: now, waiters: [waiter]), entry?.standing ?? .new)
            queued.append(Queued(name: name, merchantID: merchantID))
            return (.asked, startable(now: now))
        }
    }

    /// The queued names that get a thread now, prompt ones first. Names for which nobody waits any more are dropped.
    mutating func startable(now: ContinuousClock.Instant) -> [String] {
        guard !queued.isEmpty else { return [] }
        var start: [String] = []
        var waiting = queued
        for standing in [Standing.prompt, .new, .slow] {
            waiting.removeAll { asked in
                let name = asked.name
                guard case .asking(let since, _)? = names[name]?.knowledge else { return true }
                guard now - since < limits.lookupWithin else {
                    names[name]?.knowledge = .failed(since: now, until: now)
                    return true
                }
                guard names[name]?.standing == standing, mayRun(asked, standing, now: now) else { return false }
                running.append(Running(name: name, merchantID: asked.merchantID, since: now, standing: standing))
                start.append(name)
                return true
            }
        }
        queued = waiting
        return start
    }

    private func mayRun(_ asked: Queued, _ standing: Standing, now: ContinuousClock.Instant) -> Bool {
        let most = max(1, limits.lookupsAtOnce)
        let quarter = max(1, most / 4)
        let stuck = running.count { now - $0.since >= limits.lookupWithin }
        let timely = running.count - min(stuck, 3 * most)
        guard timely < most else { return false }
        guard standing != .prompt else { return true }
        let own = running.count { $0.merchantID == asked.merchantID && $0.standing != .prompt }
        guard own < quarter, timely < max(1, most - quarter) else { return false }
        return standing == .new || running.count { $0.standing == .slow } < max(1, most / 2)
    }

    /// A lookup ended; returns who waited for it.
    mutating func settle(
        _ name: String, _ found: Result<[IPAddress], any Error>, now: ContinuousClock.Instant
    ) -> [Waiter] {
        var standing = Standing.prompt
        if let index = running.firstIndex(where: { $0.name == name }) {
            let ended = running.remove(at: index)
            if now - ended.since >= limits.lookupWithin { standing = .slow }
        }
        var waiting: [Waiter] = []
        if case .asking(_, let waiters)? = names[name]?.knowledge { waiting = waiters }
        switch found {
        case .success(let addresses) where !addresses.isEmpty:
            names[name] = (.known(addresses, since: now, until: now + limits.lookupAnswerKept), standing)
        case .failure(is SenderShortage):
            // Nothing was learned of the name.
            names[name] = nil
        default:
            names[name] = (.failed(since: now, until: now + limits.lookupFailureKept), standing)
        }
        return waiting
    }

    mutating func renew(_ name: String, now: ContinuousClock.Instant) {
        switch names[name]?.knowledge {
        case .known(let addresses, let since, let until):
            let end = min(until, max(now, since + limits.lookupEvery))
            names[name]?.knowledge = .known(addresses, since: since, until: end)
        case .failed(let since, let until):
            names[name]?.knowledge = .failed(since: since, until: min(until, max(now, since + limits.lookupEvery)))
        case .asking, nil: break
        }
    }

    /// Keeps the table within `namesKept`: first what is out of date goes, then a tenth, whichever.
    private mutating func makeRoom(now: ContinuousClock.Instant) {
        guard names.count >= limits.namesKept else { return }
        names = names.filter { _, entry in
            switch entry.knowledge {
            case .known(_, _, let until), .failed(_, let until): now < until
            case .asking: true
            }
        }
        var surplus = names.count - limits.namesKept * 9 / 10
        guard surplus > 0 else { return }
        names = names.filter { _, entry in
            if case .asking = entry.knowledge { return true }
            surplus -= 1
            return surplus < 0
        }
    }
}

/// `getaddrinfo`, both families, without a filter: every address is judged, also those this machine cannot reach.
package let systemLookup: Lookup = { name in
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else {
        if code == EAI_MEMORY { throw SenderShortage.memory }
        if code == EAI_SYSTEM, let shortage = SenderShortage(errno: errno) { throw shortage }
        // Without a descriptor for its files and sockets it says that the name is unknown, or to try again.
        throw LocalResources.areDescriptorsShort ? SenderShortage.descriptors as any Error : NameNotResolved()
    }
    defer { freeaddrinfo(list) }

    var found: [IPAddress] = []
    var next = list
    while let entry = next?.pointee {
        next = entry.ai_next
        guard let address = entry.ai_addr else { continue }
        // By offset: which module owns the fields of these C structures depends on what else the build imports.
        let part: (offset: Int, count: Int)
        switch entry.ai_family {
        case AF_INET: part = (4, 4)
        case AF_INET6: part = (8, 16)
        default: continue
        }
        let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(address) + part.offset, count: part.count)
        if let judged = IPAddress(bytes: bytes), !found.contains(judged) { found.append(judged) }
    }
    return found
}
