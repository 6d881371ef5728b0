import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Jobs of v2: the list, which shows v3's logs beside them, and one job with its progress and its ledger.
struct JobPages: Sendable {
    static let path = SignIn.home + "/jobs"
    private static let api = "/v2/payout/notifications/resend"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path, Layout.Place.jobs.access, list),
            Page(.get, Self.path + "/{job_id}", ResendRoutes.readers, show),
            Page(.get, Self.path + "/{job_id}/events", ResendRoutes.readers, events),
            Page(.get, Self.path + "/{job_id}/ledger", ResendRoutes.readers, export),
            Page(.post, Self.path + "/{job_id}/cancel", .key(.resendWrite), cancel),
        ]
    }

    // MARK: The list

    private func list(_ visit: Visit) async throws -> Answer {
        var view = View()
        let query = ["merchant_id", "status", "cursor"].compactMap { name in
            visit.asked(name).map { (name: name, value: $0) }
        }
        var status = 200
        var found = JSONObject()
        do {
            found = try await desk.ask(.get, Self.api, query: query + [(name: "include", value: "outcome")], as: visit)
            view.list("faults", [])
        } catch let faults as Faults {
            status = 422
            view.list("faults", Shown.faults(faults))
        }
        view.list("jobs", (found["data"]?.array ?? []).compactMap(\.object).map(Self.row))
        view.text("merchant", visit.asked("merchant_id") ?? "")
        view.list("states", Self.choices(["processing", "completed", "failed"], visit.asked("status")))
        let filters = ["merchant_id", "status"].compactMap { name in visit.asked(name).map { (name, $0) } }
        view.text("next", Self.next(Self.path, filters, found["next"]?.text))
        let place = visit.asked("logs").flatMap(CursorPage.position)
        let seesLogs = LogPages.access.admits(visit.caller)
        var logs: (logs: [ResendLogDetails], next: String?) = ([], nil)
        if seesLogs {
            logs = try await desk.engine.store.listLogDetails(
                accountID: visit.accountID, merchants: visit.key.merchants, CursorPage(after: place))
        }
        view.flag("sees_logs", seesLogs)
        view.list("logs", logs.logs.map(LogPages.row))
        view.text("logs_next", logs.next.map { "\(Self.path)?logs=\($0)" })
        view.text("curl", desk.curl(.get, Self.api, query: query.filter { $0.name != "cursor" }))
        return try Layout.page("jobs", .jobs, status: status, view, for: visit)
    }

    private static func row(_ job: JSONObject) -> View {
        var view = View()
        view.text("job", job["job_id"]?.text)
        view.text("short", job["job_id"]?.text.map { String($0.prefix(8)) })
        view["state"] = .view(Shown.pill(job["phase"]?.text ?? ""))
        view.text("merchant_id", job["merchant_id"]?.integer)
        view.text("from", job["start_time"]?.text)
        view.text("to", job["end_time"]?.text)
        view.text("total", job["total"]?.integer.map(Shown.number))
        view.text("queued", job["queued"]?.integer.map(Shown.number))
        view.text("failed_items", job["failed"]?.integer.map(Shown.number))
        for outcome in Progress.outcomes {
            view.text(outcome, job["outcome"]?.object?[outcome]?.integer.map(Shown.number))
        }
        view.text("started", Shown.time(job["started_at"]?.text))
        return view
    }

    static func choices(_ words: [String], _ chosen: String?) -> [View] {
        words.map { word in
            var view = View()
            view.text("word", word)
            view.flag("chosen", word == chosen)
            return view
        }
    }

    /// Our own link to the page that a `next` of an endpoint leads to.
    static func next(_ path: String, _ filters: [(String, String)], _ link: String?) -> String? {
        guard let link, let cursor = link.split(separator: "cursor=").last, link.contains("cursor=") else { return nil }
        let kept = filters.map { "\($0.0)=\(QueryString.encode($0.1))&" }.joined()
        return "\(path)?\(kept)cursor=\(cursor)"
    }

    // MARK: One job

    /// - Throws: 404 for another account's job, as for one that there is not.
    private func state(_ visit: Visit) async throws -> JSONObject {
        do {
            return try await desk.ask(
                .get, "\(Self.api)/\(visit.parameters["job_id"] ?? "")", query: [("include", "outcome")], as: visit)
        } catch let problem as Problem where problem == ResendRoutes.foreign {
            throw ResendRoutes.unknown
        }
    }

    private func show(_ visit: Visit) async throws -> Answer {
        let state = try await state(visit)
        let jobID = visit.parameters["job_id"] ?? ""
        let progress = Progress(state)
        var view = Self.row(state)
        view.text("job", jobID)
        view.text("short", String(jobID.prefix(8)))
        progress.write(into: &view)
        view.text("reason", state["reason"]?.text)
        view.text("requested_by", state["requested_by"]?.text)
        view.flag("live", !progress.isOver)
        view.flag("may_cancel", !progress.isOver && visit.caller.may(.resendWrite))
        try await ledger(jobID, visit, into: &view)
        view.text("curl", desk.curl(.get, "\(Self.api)/\(jobID)", query: [("include", "outcome")]))
        return try Layout.page("job", .jobs, title: "Job \(jobID.prefix(8))", view, for: visit)
    }

    private func ledger(_ jobID: String, _ visit: Visit, into view: inout View) async throws {
        let outcome = visit.asked("outcome")
        let query = ["outcome", "cursor"].compactMap { name in visit.asked(name).map { (name: name, value: $0) } }
        let page = try await desk.ask(.get, "\(Self.api)/\(jobID)/items", query: query, as: visit)
        view.list(
            "items",
            (page["data"]?.array ?? []).compactMap(\.object).map { item in
                var view = View()
                view.text("id", item["payout_id"]?.integer)
                view.text("invoice", item["invoice"]?.text)
                view["outcome"] = .view(Shown.pill(item["outcome"]?.text ?? ""))
                view.text("attempts", item["attempts"]?.integer)
                view.text("code", item["last_status_code"]?.integer.map { String($0) } ?? "")
                view.text("why", item["last_reason"]?.text.map(Shown.word) ?? "")
                view.text("at", Shown.time(item["last_attempt_at"]?.text) ?? "")
                return view
            })
        view.list("outcomes", Self.choices(LedgerOutcome.allCases.map(\.rawValue), outcome))
        view.text("outcome_query", outcome.map { "&outcome=\(QueryString.encode($0))" } ?? "")
        view.text(
            "next", Self.next("\(Self.path)/\(jobID)", outcome.map { [("outcome", $0)] } ?? [], page["next"]?.text))
    }

    private func events(_ visit: Visit) async throws -> Answer {
        _ = try await state(visit)
        return try desk.streams.answer {
            let progress = Progress(try await state(visit))
            return (progress.event, progress.isOver)
        }
    }

    /// The whole ledger as a file.
    private func export(_ visit: Visit) async throws -> Answer {
        _ = try await state(visit)
        let jobID = visit.parameters["job_id"] ?? ""
        let format = visit.asked("format") ?? "csv"
        var query = [(name: "format", value: format)]
        if let outcome = visit.asked("outcome") { query.append((name: "outcome", value: outcome)) }
        var answer = try await desk.send(.get, "\(Self.api)/\(jobID)/items", query: query, as: visit)
        answer.headers["Content-Disposition"] = "attachment; filename=\"job-\(jobID).\(format)\""
        return answer
    }

    private func cancel(_ visit: Visit) async throws -> Answer {
        _ = try await state(visit)
        let jobID = visit.parameters["job_id"] ?? ""
        _ = try await desk.ask(.delete, "\(Self.api)/\(jobID)", as: visit)
        return Layout.redirect("\(Self.path)/\(jobID)")
    }
}
