import ReenvioModel

/// The frame of every page, and what its answer says to the browser.
enum Layout {
    /// The places of the navigation.
    enum Place: String, CaseIterable {
        case overview = "Overview"
        case payouts = "Payouts"
        case resend = "Resend"
        case jobs = "Jobs and logs"
        case receivers = "Receivers"
        case settings = "Settings"

        var path: String {
            switch self {
            case .overview: SignIn.home
            case .payouts: SignIn.home + "/payouts"
            case .resend: SignIn.home + "/resend"
            case .jobs: SignIn.home + "/jobs"
            case .receivers: SignIn.home + "/receivers"
            case .settings: SignIn.home + "/settings"
            }
        }

        /// What a key needs to see it.
        var access: Access {
            switch self {
            case .overview, .payouts, .receivers: .key(.payoutsRead)
            case .resend: .keyWithOne(of: Access.resendScopes(isDryRun: true))
            case .jobs: ResendRoutes.readers
            case .settings: .keyWithOne(of: [.auditRead, .secretsWrite])
            }
        }
    }

    /// Nothing but our own style and script, nothing kept, nothing framed.
    static let headers = [
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
            + "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
    ]

    /// A page for somebody who is signed in.
    static func page(
        _ template: String, _ place: Place, title: String? = nil, status: Int = 200, _ view: View, for visit: Visit
    ) throws -> Answer {
        var view = view
        view.text("title", title ?? place.rawValue)
        view.text("token", visit.token.formToken)
        view.text("signed_in", visit.key.isOperator ? "\(visit.key.name) (operator)" : visit.key.name)
        view.list(
            "nav",
            Place.allCases.filter { $0.access.admits(visit.caller) }.map { one in
                var view = View()
                view.text("name", one.rawValue)
                view.text("path", one.path)
                view.flag("current", one == place)
                return view
            })
        return try page(template, view, status: status)
    }

    static func page(_ template: String, _ view: View, status: Int = 200) throws -> Answer {
        var view = view
        view.text("style", Asset.style.versioned)
        view.text("script", Asset.script.versioned)
        return Answer(
            status: status, body: try Templates.render(template, view),
            headers: ["Content-Type": "text/html; charset=utf-8"])
    }

    /// An error as a page; a visitor keeps the navigation.
    static func problem(_ problem: Problem, requestID: String, for visit: Visit? = nil) -> Answer {
        var view = View()
        view.text("code", Int64(problem.status))
        view.text("message", problem.message)
        view.text("request", requestID)
        view.list("faults", Shown.faults(problem.errors))
        view.text("title", "Error \(problem.status)")
        var answer: Answer
        do {
            if let visit {
                answer = try page(
                    "problem", .overview, title: "Error \(problem.status)", status: problem.status, view, for: visit)
            } else {
                answer = try page("problem", view, status: problem.status)
            }
        } catch {
            answer = Answer(problem)
        }
        for (name, value) in problem.headers { answer.headers[name] = value }
        return answer
    }

    /// To another page after a post: reloading it repeats nothing.
    static func redirect(_ path: String) -> Answer {
        Answer(status: 303, body: [], headers: ["Location": path, "Content-Type": "text/plain"])
    }
}

/// A file that every page needs. Its address changes with its content, so that a browser may keep it.
struct Asset: Sendable {
    var path: String
    var type: String
    var bytes: [UInt8]

    static let style = Asset(
        path: "/dashboard/assets/style.css", type: "text/css; charset=utf-8", bytes: PageResources.dashboardStyle)
    static let script = Asset(
        path: "/dashboard/assets/script.js", type: "text/javascript; charset=utf-8",
        bytes: PageResources.dashboardScript)
    static let all = [style, script]

    let version: String

    private init(path: String, type: String, bytes: [UInt8]) {
        self.path = path
        self.type = type
        self.bytes = bytes
        // FNV-1a: tells one release's file from the next one's.
        version = String(
            bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }, radix: 36)
    }

    var versioned: String { "\(path)?v=\(version)" }

    var answer: Answer {
        Answer(
            status: 200, body: bytes,
            headers: [
                "Content-Type": type, "Cache-Control": "public, max-age=31536000, immutable",
                "X-Content-Type-Options": "nosniff",
            ])
    }
}

/// How values look on a page.
enum Shown {
    /// `2026-03-24 08:05:30`; all times of the dashboard are UTC.
    static func time(_ moment: Timestamp?) -> String? {
        moment.map(TimeText.plain)
    }

    /// The same of an RFC 3339 text as the endpoints answer it.
    static func time(_ text: String?) -> String? {
        text.map { String($0.prefix(19)).replacing("T", with: " ") }
    }

    static func age(seconds: Double) -> String {
        switch seconds {
        case ..<1: "nothing due"
        case ..<120: "\(Int(seconds)) s"
        case ..<7_200: "\(Int(seconds / 60)) min"
        case ..<172_800: "\(Int(seconds / 3_600)) h"
        default: "\(Int(seconds / 86_400)) d"
        }
    }

    /// With a blank between thousands, which all readers of numbers understand.
    static func number(_ value: Int64) -> String {
        let digits = String(abs(value))
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text += "\u{202F}" }
            text.append(digit)
        }
        return (value < 0 ? "-" : "") + text
    }

    static func faults(_ faults: Faults) -> [View] {
        faults.entries.flatMap { entry in
            entry.texts.map { text in
                var view = View()
                view.text("field", entry.field)
                view.text("text", text)
                return view
            }
        }
    }

    /// A word of a closed list as people write it.
    static func word(_ text: String) -> String {
        text.replacing("_", with: " ")
    }

    /// The class that colours a state.
    static func tone(_ state: String) -> String {
        switch state {
        case "ok", "acknowledged", "delivered", "Paid": "good"
        case "broken", "failed", "exhausted", "undelivered", "Rejected", "Invalid Data", "stopped", "refused": "bad"
        case "slow", "paused", "waiting", "pending", "Expired", "Canceled", "canceled", "skipped", "partly_delivered":
            "warn"
        default: "calm"
        }
    }

    static func pill(_ state: String) -> View {
        var view = View()
        view.text("word", word(state))
        view.text("tone", tone(state))
        return view
    }
}
