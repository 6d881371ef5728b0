import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// One resend log of v3: its progress, its messages and its cancel, for keys of its account.
struct LogPages: Sendable {
    static let path = SignIn.home + "/logs"
    /// Users see their own by the API; for keys there is no such endpoint.
    static let access = Access.key(.payoutsRead)

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [
            Page(.get, Self.path + "/{id}", Self.access, show),
            Page(.get, Self.path + "/{id}/events", Self.access, events),
            Page(.get, Self.path + "/{id}/ledger", Self.access, export),
            Page(.post, Self.path + "/{id}/cancel", .key(.resendWrite), limit: .write, cancel),
        ]
    }

    static func row(_ details: ResendLogDetails) -> View {
        let log = details.log
        var view = View()
        view.text("log", log.id)
        view.text("kind", log.category.rawValue)
        view["log_state"] = .view(Shown.pill(details.phase.rawValue))
        view.text("object", log.objectID)
        view.text("from", log.window.flatMap { Shown.time(Timestamp(seconds: $0.startSeconds)) })
        view.text("to", log.window.flatMap { Shown.time(Timestamp(seconds: $0.endSeconds)) })
        view.text("user", log.userID)
        view.text("created", Shown.time(log.createdAt))
        view.text("processed", Shown.time(log.processedAt))
        view.text("error", log.errorMessage)
        view.text("total", Shown.number(details.total))
        view.text("delivered", Shown.number(details.outcome.delivered))
        return view
    }

    private func find(_ visit: Visit) async throws -> ResendLogDetails {
        let id = try visit.id("id", orThrow: LogRoutes.unknown)
        guard let log = try await desk.engine.store.logDetails(id: id, accountID: visit.accountID),
            visit.caller.mayUse(merchantID: log.merchantID)
        else {
            throw LogRoutes.unknown
        }
        return log
    }

    private func show(_ visit: Visit) async throws -> Answer {
        let log = try await find(visit)
        var view = Self.row(log)
        Progress(log).write(into: &view)
        view.flag("live", !log.isOver)
        view.flag("may_cancel", !log.isOver && visit.caller.may(.resendWrite))
        let status = try await ledger(of: log, visit, into: &view)
        return try Layout.page("log", .jobs, title: "Log \(log.log.id)", status: status, view, for: visit)
    }

    /// The messages that the form asks for; returns the page's status.
    private func ledger(of log: ResendLogDetails, _ visit: Visit, into view: inout View) async throws -> Int {
        let outcome = visit.asked("outcome")
        let parameters = ["outcome", "cursor"].compactMap { name in visit.asked(name).map { (name: name, value: $0) } }
        view.list("outcomes", JobPages.choices(LedgerOutcome.allCases.map(\.rawValue), outcome))
        view.text("outcome_query", outcome.map { "&outcome=\(QueryString.encode($0))" } ?? "")
        let query: LogLedgerQuery
        do {
            query = try LogLedgerQuery(parameters)
        } catch {
            view.list("faults", Shown.faults(error))
            view.list("items", [])
            view.text("next", nil as String?)
            return 422
        }
        view.list("faults", [])
        let found = try await desk.engine.store.listLedger(
            log, outcome: query.outcome, limit: query.limit, after: query.after)
        view.list("items", found.items.map(Self.item))
        let kept = outcome.map { "outcome=\(QueryString.encode($0))&" } ?? ""
        view.text("next", found.after.map { "\(Self.path)/\(log.log.id)?\(kept)cursor=\($0.cursor)" })
        return 200
    }

    private static func item(_ item: LogLedgerItem) -> View {
        var view = View()
        view.text("item", item.objectID.map { String($0) } ?? "")
        view.text("type", item.type ?? "")
        view.text("webhook", item.registrationID)
        view["outcome"] = .view(Shown.pill(item.outcome.rawValue))
        view.text("attempts", item.attempts)
        view.text("code", item.lastStatusCode.map { String($0) } ?? "")
        view.text("why", item.lastReason.map(Shown.word) ?? "")
        view.text("at", Shown.time(item.lastAttemptAt) ?? "")
        return view
    }

    private func events(_ visit: Visit) async throws -> Answer {
        _ = try await find(visit)
        return try desk.streams.answer {
            let progress = Progress(try await find(visit))
            return (progress.event, progress.isOver)
        }
    }

    /// The whole ledger as a file.
    private func export(_ visit: Visit) async throws -> Answer {
        let log = try await find(visit)
        let asked = ["outcome", "format"].compactMap { name in visit.asked(name).map { (name: name, value: $0) } }
        let query = try LogLedgerQuery(asked)
        let format = query.format ?? .csv
        let store = desk.engine.store
        let file = "attachment; filename=\"log-\(log.log.id).\(format.rawValue)\""
        let headers = ["Cache-Control": "no-store", "Content-Disposition": file]
        return try await LedgerStream.answer(format, headers: headers) {
            (after: LogLedgerPlace?) async throws -> (items: [LogLedgerItem], after: LogLedgerPlace?) in
            try await store.listLedger(log, outcome: query.outcome, limit: Limits.ledgerPiece, after: after)
        }
    }

    private func cancel(_ visit: Visit) async throws -> Answer {
        let log = try await find(visit)
        let canceled = try await desk.engine.cancelLog(
            id: log.log.id, accountID: visit.accountID, by: visit.requester)
        switch canceled {
        case .canceled: return Layout.redirect("\(Self.path)/\(log.log.id)")
        case .notFound: throw LogRoutes.unknown
        case .alreadyEnded: throw LogRoutes.alreadyEnded
        }
    }
}
