package import ReenvioModel
package import ReenvioStore
import Synchronization

/// What `GET /metrics` answers: Prometheus's text format, version 0.0.4.
///
/// Counters stand in memory. What only the store knows is read when the page is asked for, at most every two seconds
/// and by one reader at a time, and never by a count of everything: see `Store.measure`.
package final class MetricsPage: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    private static let keptFor: Duration = .seconds(2)

    private struct State {
        var walk = BacklogWalk()
        var readAt: Timestamp?
        var isReading = false
    }

    private let state = Mutex(State())
    private let registry: MetricsRegistry
    private let store: Store
    private let clock: any TimeSource
    private let trust: ClockTrust?
    private let dropped: DroppedCalls?

    package init(
        _ registry: MetricsRegistry, store: Store, clock: any TimeSource, trust: ClockTrust? = nil,
        dropped: DroppedCalls? = nil
    ) {
        self.dropped = dropped
        self.trust = trust
        self.registry = registry
        self.store = store
        self.clock = clock
    }

    package func text() async -> String {
        await readStore()
        set(.clockDistrusted, "", trust?.isDistrusted == true ? 1 : 0)
        set(.droppedCalls, "", Double(store.engine.dropped + (dropped?.count ?? 0)))
        set(.storeLogBytes, "", store.engine.files.map { Double($0.logBytes) } ?? 0)
        set(.cpuSeconds, "", ProcessUsage.cpuSeconds)
        set(.residentBytes, "", ProcessUsage.residentBytes.map { Double($0) })
        var text = ""
        for family in MetricFamily.allCases { write(family, into: &text) }
        return text
    }

    /// Open deliveries of a lane and how long its oldest due one has waited, as the page shows them; nil while the
    /// store cannot be read.
    package func lanes() async -> [Lane: (backlog: Int64, oldestDueSeconds: Double)]? {
        await readStore()
        var lanes: [Lane: (backlog: Int64, oldestDueSeconds: Double)] = [:]
        for lane in Lane.allCases {
            guard let backlog = gauge(.backlog, "\(lane)"), let oldest = gauge(.oldestDueSeconds, "\(lane)") else {
                return nil
            }
            lanes[lane] = (Int64(backlog), oldest)
        }
        return lanes
    }

    private func gauge(_ family: MetricFamily, _ label: String) -> Double? {
        guard case .gauge(let cell)? = registry.all(family).first(where: { $0.value == label })?.cell else {
            return nil
        }
        return cell.value
    }

    /// Whoever comes while another reads gets what was read before. A store that cannot be read leaves no old figures.
    private func readStore() async {
        let now = clock.engine
        let place: BacklogWalk? = state.withLock { state in
            if let readAt = state.readAt, now - readAt < Self.keptFor, now >= readAt { return nil }
            guard !state.isReading else { return nil }
            state.isReading = true
            return state.walk
        }
        guard let place else { return }
        let measures = try? await store.measure(from: place.place, now: now)
        let walk = state.withLock { state in
            state.isReading = false
            state.readAt = measures == nil ? nil : now
            if let measures { state.walk.take(measures.backlog) }
            return state.walk
        }
        for lane in Lane.allCases {
            set(.backlog, "\(lane)", measures.map { _ in Double(walk.shown(lane)) })
            set(.oldestDueSeconds, "\(lane)", measures.map { Self.age($0.oldestDue[lane], now) })
        }
        set(.setAside, "", measures.map { Double($0.setAside) })
        for state in ResendItems.State.allCases {
            set(.resendItems, state.rawValue, measures.map { Double($0.resendItems[state]) })
        }
    }

    private static func age(_ due: Timestamp?, _ now: Timestamp) -> Double {
        guard let due, due < now else { return 0 }
        return Double((now - due).microseconds) / 1e6
    }

    /// `label` is the value of the family's label, empty without one; a value of nil: not known, and not shown.
    private func set(_ family: MetricFamily, _ label: String, _ value: Double?) {
        for series in registry.all(family) where series.value == label {
            guard case .gauge(let cell) = series.cell else { continue }
            if let value { cell.set(value) } else { cell.forget() }
        }
    }

    // MARK: The format

    private func write(_ family: MetricFamily, into text: inout String) {
        let name = family.rawValue
        text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.word)\n"
        for series in registry.all(family) {
            let label = family.label.map { "\($0.name)=\"\(series.value)\"" } ?? ""
            switch series.cell {
            case .counter(let cell): text += Self.line(name, label, "\(cell.value)")
            case .gauge(let cell): if let value = cell.value { text += Self.line(name, label, Self.number(value)) }
            case .histogram(let cell): Self.write(cell, name, label, into: &text)
            }
        }
    }

    /// Buckets are shown as sums, each with all below it; the last is the number of observations.
    private static func write(_ cell: HistogramCell, _ name: String, _ label: String, into text: inout String) {
        let prefix = label.isEmpty ? "" : label + ","
        var sum: Int64 = 0
        for (bound, count) in zip(cell.bounds.map(number) + ["+Inf"], cell.counts) {
            sum += count
            text += line(name + "_bucket", "\(prefix)le=\"\(bound)\"", "\(sum)")
        }
        text += line(name + "_sum", label, number(cell.sum)) + line(name + "_count", label, "\(sum)")
    }

    private static func line(_ name: String, _ labels: String, _ value: String) -> String {
        "\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
