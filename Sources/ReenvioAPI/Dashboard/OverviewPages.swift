import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Is anything stuck, which receiver is sick: the first page after signing in.
struct OverviewPages: Sendable {
    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, SignIn.home, Layout.Place.overview.access, show),
            Page(.get, SignIn.home + "/events", Layout.Place.overview.access, events),
        ]
    }

    private func show(_ visit: Visit) async throws -> Answer {
        let figures = try await figures(for: visit.caller)
        var view = View()
        for (name, text) in figures.texts { view.text(name, text) }
        view.text("summary", figures.summary)
        view.list(
            "lines",
            figures.lines.map { line in
                var view = View()
                view.text("line", line.name)
                view.text("points", line.points)
                return view
            })
        view.flag("operator", visit.key.isOperator)
        view.list(
            "sick",
            try await desk.engine.store.sickReceivers(accountID: visit.accountID, merchants: visit.key.merchants)
                .map { ReceiverPages.row($0, desk) })
        return try Layout.page("overview", .overview, view, for: visit)
    }

    private func events(_ visit: Visit) async throws -> Answer {
        try desk.streams.answer {
            let figures = try await figures(for: visit.caller)
            var event = JSONObject()
            event.set("texts", JSONObject.fields(figures.texts))
            event.set("lines", JSONObject.fields(figures.lines.map { ($0.name, $0.points) }))
            return (event, false)
        }
    }

    // MARK: Figures

    private struct Figures {
        var beats: [Pulse.Beat]
        var backlog: [Lane: Int64]
        var isPartial: Bool
        var oldestSeconds: Double?

        private static let width = 600.0
        private static let height = 150.0

        /// By the name of their field on the page.
        var texts: [(name: String, text: String)] {
            let last = beats.dropLast().last ?? Pulse.Beat()
            let more = isPartial ? "+" : ""
            return [
                ("accepted", Shown.number(last.accepted)), ("delivered", Shown.number(last.delivered)),
                ("failing", Shown.number(last.failed)),
                ("backlog_live", Shown.number(backlog[.live] ?? 0) + more),
                ("backlog_retry", Shown.number(backlog[.retry] ?? 0) + more),
                ("backlog_resend", Shown.number(backlog[.resend] ?? 0) + more),
                ("oldest", oldestSeconds.map(Shown.age) ?? "unknown"), ("peak", Shown.number(peak)),
            ]
        }

        var summary: String {
            let sum = beats.reduce(into: Pulse.Beat()) { sum, beat in
                sum.accepted += beat.accepted
                sum.delivered += beat.delivered
                sum.failed += beat.failed
            }
            return
                "In the last hour \(sum.accepted) accepted, \(sum.delivered) delivered, \(sum.failed) failed attempts."
        }

        private var peak: Int64 { max(1, beats.map { max($0.accepted, $0.delivered, $0.failed) }.max() ?? 1) }

        var lines: [(name: String, points: String)] {
            [
                ("accepted", points(\.accepted)), ("delivered", points(\.delivered)), ("failing", points(\.failed)),
            ]
        }

        private func points(_ count: KeyPath<Pulse.Beat, Int64>) -> String {
            beats.enumerated().map { place, beat in
                let x = Self.width * Double(place) / Double(max(1, beats.count - 1))
                let y = Self.height * (1 - Double(beat[keyPath: count]) / Double(peak))
                return "\(Int(x.rounded())),\(Int(y.rounded()))"
            }.joined(separator: " ")
        }
    }

    /// Over everything for an operator, from memory; of an account its own merchants.
    private func figures(for caller: Caller) async throws -> Figures {
        let engine = desk.engine
        let now = engine.clock.now
        guard let accountID = caller.accountID else {
            let lanes = await engine.metrics.lanes()
            return Figures(
                beats: engine.pulse.all(now: now.wall), backlog: lanes?.mapValues(\.backlog) ?? [:], isPartial: false,
                oldestSeconds: lanes?.values.map(\.oldestDueSeconds).max())
        }
        let first = Pulse.minute(now.wall) - Int64(Pulse.minutes) + 1
        let overview = try await engine.store.accountOverview(
            accountID, merchants: caller.merchants, since: first, now: now.engine)
        let merchants = try await engine.store.merchants(for: caller).map(\.id)
        var beats = engine.pulse.merchants(merchants, now: now.wall)
        for place in beats.indices { beats[place].accepted = overview.accepted[first + Int64(place)] ?? 0 }
        let oldest = overview.oldestDue.map { Double((now.engine - $0).microseconds) / 1e6 }
        return Figures(
            beats: beats, backlog: overview.backlog, isPartial: overview.isPartial, oldestSeconds: oldest ?? 0)
    }
}
