import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Bulk resend: a form, what it would match, then the job.
struct ResendPages: Sendable {
    static let path = SignIn.home + "/resend"
    private static let api = "/v2/payout/notifications/resend"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path, Layout.Place.resend.access, form),
            Page(.post, Self.path, Layout.Place.resend.access, act),
        ]
    }

    /// `2026-03-24T08:00` of a browser's date field, or without seconds, as the contract writes it.
    static func plainTime(_ text: String) -> String {
        let plain = text.replacing("T", with: " ")
        return plain.utf8.count == 16 ? plain + ":00" : plain
    }

    // MARK: The form

    private func form(_ visit: Visit) async throws -> Answer {
        var view = try await fields(of: visit.query, visit)
        view.list("faults", [])
        return try Layout.page("resend", .resend, view, for: visit)
    }

    /// The form with what was filled in.
    private func fields(of pairs: [(name: String, value: String)], _ visit: Visit) async throws -> View {
        func value(_ name: String) -> String { pairs.last { $0.name == name }?.value ?? "" }
        var view = View()
        for name in ["merchant", "start", "end", "max_per_second", "canary"] { view.text(name, value(name)) }
        view.flag("has_pace", !(value("max_per_second") + value("canary")).isEmpty)
        view.flag("only_unacknowledged", value("only_unacknowledged") == "1")
        let chosen = pairs.filter { $0.name == "status" }.map(\.value)
        view.list(
            "statuses",
            PayoutStatus.notifiable.map { status in
                var view = View()
                view.text("status_id", status.id)
                view.text("status_name", status.name)
                view.flag("chosen", chosen.contains(String(status.id)))
                return view
            })
        view.list(
            "merchants", try await desk.engine.store.merchants(for: visit.caller).map(SettingsPages.option))
        var batches: [ResendBatch] = []
        if BatchRoutes.readers.admits(visit.caller) {
            batches = try await desk.engine.store.listBatches(
                accountID: visit.accountID, merchants: visit.key.merchants, CursorPage(limit: 5)
            ).batches
        }
        view.list("batches", batches.map(BatchPages.row))
        let now = desk.engine.clock.wall
        view.list(
            "spans",
            [("Last hour", Int64(3_600)), ("Last 3 hours", 3 * 3_600)].map { name, seconds in
                var view = View()
                let start = TimeText.plain(now - .seconds(seconds)).replacing(" ", with: "T")
                let end = TimeText.plain(now).replacing(" ", with: "T")
                view.text("span", name)
                view.text("href", "\(Self.path)?start=\(start)&end=\(end)")
                return view
            })
        return view
    }

    // MARK: Dry run, and dispatch

    private func act(_ visit: Visit) async throws -> Answer {
        let isDryRun = visit.field("action") != "resend"
        let body = try await body(visit, isDryRun: isDryRun)
        do {
            if let batch = BatchForm(body, visit) { return try await act(batch, isDryRun: isDryRun, visit) }
            let answer = try await desk.ask(.post, Self.api, body, as: visit)
            if let jobID = answer["job_id"]?.text { return Layout.redirect("\(JobPages.path)/\(jobID)") }
            return try await counted(answer, body, visit)
        } catch let problem as Problem where [409, 422].contains(problem.status) {
            var view = try await fields(of: visit.form, visit)
            let faults = problem.errors.isEmpty ? Faults("Resend", problem.message) : problem.errors
            view.list("faults", Shown.faults(faults))
            return try Layout.page("resend", .resend, status: problem.status, view, for: visit)
        }
    }

    /// More than one job can do (`docs/contract.md` 13.17).
    private func act(_ form: BatchForm, isDryRun: Bool, _ visit: Visit) async throws -> Answer {
        let answer = try await desk.send(.post, BatchRoutes.path, form.body, as: visit)
        let state = (try? JSONParser.parse(answer.body))?.object ?? JSONObject()
        if let batchID = state["batch_id"]?.text {
            let repeated = answer.status == 200 ? "?repeated=1" : ""
            return Layout.redirect("\(BatchPages.path)/\(batchID)\(repeated)")
        }
        var view = try await fields(of: visit.form, visit)
        form.write(state, into: &view)
        view.flag("may_resend", visit.caller.may(.resendWrite))
        view.text("curl", desk.curl(.post, BatchRoutes.path, form.dispatch))
        return try Layout.page("resend", .resend, view, for: visit)
    }

    /// The form as the endpoint's body: what is no number goes there as text, and is refused there.
    private func body(_ visit: Visit, isDryRun: Bool) async throws -> JSONObject {
        func number(_ text: String) -> JSONValue { JSONNumber(text).map { .number($0) } ?? .string(text) }
        var body = JSONObject()
        if let merchant = visit.field("merchant") {
            body.set("merchant_id", number(merchant))
        } else if let only = try await desk.engine.store.onlyMerchant(for: visit.caller) {
            body.set("merchant_id", .number(JSONNumber(only.id)))
        }
        for (field, key) in [("start", "start_time"), ("end", "end_time")] {
            if let text = visit.field(field) { body.set(key, .string(Self.plainTime(text))) }
        }
        let statuses = visit.fields("status")
        if !statuses.isEmpty { body.set("status_ids", .array(statuses.map(number))) }
        if visit.field("only_unacknowledged") == "1" { body.set("only_unacknowledged", .bool(true)) }
        for key in ["max_per_second", "canary"] {
            if let text = visit.field(key) { body.set(key, number(text)) }
        }
        if isDryRun {
            body.set("dry_run", .bool(true))
            body.set("explain", .bool(true))
        }
        return body
    }

    private func counted(_ answer: JSONObject, _ body: JSONObject, _ visit: Visit) async throws -> Answer {
        var view = try await fields(of: visit.form, visit)
        view.list("faults", [])
        view.flag("counted", true)
        view.text("total", answer["total"]?.integer.map(Shown.number))
        view.flag("matches", answer["total"]?.integer != 0)
        if let explain = answer["explain"]?.object { Self.explain(explain, into: &view) }
        view.flag("may_resend", visit.caller.may(.resendWrite))
        var dispatch = JSONObject()
        for member in body.members where !["dry_run", "explain"].contains(member.key) {
            dispatch.set(member.key, member.value)
        }
        view.text("curl", desk.curl(.post, Self.api, dispatch))
        return try Layout.page("resend", .resend, view, for: visit)
    }

    /// What the dry run says of the matched payouts (`docs/contract.md` 13.7).
    private static func explain(_ explain: JSONObject, into view: inout View) {
        view.flag("explained", true)
        view.text("estimate", estimate(explain))
        view.list(
            "by_status",
            (explain["by_status"]?.object?.members ?? []).map { member in
                let status = Int64(member.key).flatMap { PayoutStatus(id: $0) }
                return part(status?.name ?? member.key, member.value.integer)
            })
        var receivers = (explain["by_receiver"]?.array ?? []).compactMap(\.object).map { row in
            var view = part(row["receiver"]?.text ?? "", row["total"]?.integer)
            view["health"] = .view(Shown.pill(row["health"]?.text ?? ""))
            return view
        }
        if let others = explain["others"]?.integer { receivers.append(part("at other receivers", others)) }
        view.list("by_receiver", receivers)
        let reasons = [
            ("no_url", "without a notification URL"), ("not_notifiable_now", "in a status that notifies nobody"),
            ("other_status", "in a status that was not chosen"),
        ]
        let missed = explain["not_matched"]?.object
        var parts = reasons.map { part($0.1, missed?[$0.0]?.integer) }
        if let count = missed?["acknowledged"]?.integer { parts.append(part("acknowledged already", count)) }
        view.list("not_matched", parts)
        view.list(
            "would_fail",
            (explain["would_fail"]?.object?.members ?? []).filter { $0.value.integer != 0 }.map { member in
                part(Shown.word(member.key), member.value.integer)
            })
    }

    /// How long it takes, or in words why that cannot be known.
    private static func estimate(_ explain: JSONObject) -> String {
        if let seconds = explain["estimated_seconds"]?.integer {
            return "Takes about \(Shown.age(seconds: Double(max(1, seconds))))."
        }
        let waits = (explain["waiting_on"]?.array ?? []).compactMap(\.object).compactMap { row in
            row["reason"]?.text.flatMap(ResendEstimate.Wait.Reason.init).map {
                ResendEstimate.Wait(origin: row["receiver"]?.text ?? "", reason: $0)
            }
        }
        return ResendEstimate(seconds: nil, waits: waits).sentence
    }

    private static func part(_ name: String, _ count: Int64?) -> View {
        var view = View()
        view.text("part", name)
        view.text("amount", Shown.number(count ?? 0))
        view.flag("health", false)
        return view
    }
}
