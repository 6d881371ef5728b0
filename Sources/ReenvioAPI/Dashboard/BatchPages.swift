import HTTPTypes
import ReenvioEngine
import ReenvioModel

/// A resend over a range or several merchants: one progress for all of its jobs (`docs/contract.md` 13.17).
struct BatchPages: Sendable {
    static let path = SignIn.home + "/batches"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path + "/{batch_id}", BatchRoutes.readers, show),
            Page(.get, Self.path + "/{batch_id}/events", BatchRoutes.readers, events),
            Page(.post, Self.path + "/{batch_id}/cancel", .key(.resendWrite), cancel),
        ]
    }

    /// One of the last batches, below the form that makes them.
    static func row(_ batch: ResendBatch) -> View {
        var view = View()
        view.text("batch", batch.publicID)
        view.text("short", String(batch.publicID.prefix(8)))
        view["batch_state"] = .view(Shown.pill(batch.phase.rawValue))
        view.text("from", TimeText.plain(Timestamp(seconds: batch.range.startSeconds)))
        view.text("to", TimeText.plain(Timestamp(seconds: batch.range.endSeconds)))
        view.text("merchants", Shown.number(batch.merchants))
        view.text("total", Shown.number(batch.total))
        view.text("delivered", Shown.number(batch.delivered))
        return view
    }

    private func state(_ visit: Visit) async throws -> JSONObject {
        try await desk.ask(.get, "\(BatchRoutes.path)/\(visit.parameters["batch_id"] ?? "")", as: visit)
    }

    private func show(_ visit: Visit) async throws -> Answer {
        let state = try await state(visit)
        let batchID = visit.parameters["batch_id"] ?? ""
        let progress = Progress(batch: state)
        var view = View()
        view.text("batch", batchID)
        view.text("short", String(batchID.prefix(8)))
        progress.write(into: &view)
        view.text("merchants", state["merchants"]?.integer.map(Shown.number))
        view.text("from", state["start_time"]?.text)
        view.text("to", state["end_time"]?.text)
        view.text("started", Shown.time(state["started_at"]?.text))
        view.text("requested_by", state["requested_by"]?.text)
        view.flag("repeated", visit.asked("repeated") == "1")
        view.flag("live", !progress.isOver)
        view.flag("may_cancel", !progress.isOver && visit.caller.may(.resendWrite))
        view.text("curl", desk.curl(.get, "\(BatchRoutes.path)/\(batchID)"))
        return try Layout.page("batch", .jobs, title: "Batch \(batchID.prefix(8))", view, for: visit)
    }

    private func events(_ visit: Visit) async throws -> Answer {
        _ = try await state(visit)
        return try desk.streams.answer {
            let progress = Progress(batch: try await state(visit))
            return (progress.event, progress.isOver)
        }
    }

    private func cancel(_ visit: Visit) async throws -> Answer {
        let batchID = visit.parameters["batch_id"] ?? ""
        _ = try await desk.ask(.delete, "\(BatchRoutes.path)/\(batchID)", as: visit)
        return Layout.redirect("\(Self.path)/\(batchID)")
    }
}

extension Progress {
    /// A batch's state (`docs/contract.md` 13.17).
    init(batch state: JSONObject) {
        let counts = state["outcome"]?.object
        total = state["total"]?.integer ?? 0
        queued = state["queued"]?.integer ?? 0
        failed = state["failed"]?.integer ?? 0
        outcome = ["delivered", "undelivered", "pending", "skipped"].map { ($0, counts?[$0]?.integer ?? 0) }
        let status = state["status"]?.text ?? ""
        let isDelivering = (state["jobs_running"]?.integer ?? 0) > 0 || (counts?["pending"]?.integer ?? 0) > 0
        isOver = status != "processing" && !isDelivering
        word = state["phase"]?.text ?? status
        waitsForPause = false
    }
}
