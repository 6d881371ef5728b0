import HTTPTypes
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// One resend log of v3.
struct LogPages: Sendable {
    static let path = SignIn.home + "/logs"

    private let desk: Desk

    init(_ desk: Desk) {
        self.desk = desk
    }

    var pages: [Page] {
        [Page(.get, Self.path + "/{id}", show), Page(.get, Self.path + "/{id}/events", events)]
    }

    private static let unknown = Problem.notFound("Resend log not found.")

    static func row(_ log: ResendLog) -> View {
        var view = View()
        view.text("log", log.id)
        view.text("kind", log.category.rawValue)
        view["log_state"] = .view(Shown.pill(log.status.rawValue))
        view.text("object", log.objectID)
        view.text("from", log.window.flatMap { Shown.time(Timestamp(seconds: $0.startSeconds)) })
        view.text("to", log.window.flatMap { Shown.time(Timestamp(seconds: $0.endSeconds)) })
        view.text("user", log.userID)
        view.text("created", Shown.time(log.createdAt))
        view.text("processed", Shown.time(log.processedAt))
        view.text("error", log.errorMessage)
        return view
    }

    private func find(_ visit: Visit) async throws -> (log: ResendLog, progress: Progress) {
        let id = try visit.id("id", orThrow: Self.unknown)
        guard let found = try await desk.engine.store.logForPage(id: id, accountID: visit.accountID) else {
            throw Self.unknown
        }
        return (found.log, Progress(found.log, total: found.total, queued: found.queued, found.outcome))
    }

    private func show(_ visit: Visit) async throws -> Answer {
        let (log, progress) = try await find(visit)
        var view = Self.row(log)
        progress.write(into: &view)
        view.flag("live", !progress.isOver)
        return try Layout.page("log", .jobs, title: "Log \(log.id)", view, for: visit)
    }

    private func events(_ visit: Visit) async throws -> Answer {
        _ = try await find(visit)
        return try desk.streams.answer {
            let progress = try await find(visit).progress
            return (progress.event, progress.isOver)
        }
    }
}
