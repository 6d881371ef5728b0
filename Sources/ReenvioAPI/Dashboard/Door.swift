import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Lets visitors in: session, address, token of the form, scope, bucket, in this order. What is thrown behind it
/// becomes a page that says so.
struct Door: Sendable {
    let desk: Desk
    let gateway: Gateway

    func answer(
        _ request: Request, _ context: APIContext, _ body: () async throws -> Answer
    ) async -> Response {
        var answer: Answer
        do {
            answer = try await body()
        } catch {
            let problem = Problem(error)
            problem.log(error, context)
            answer = Layout.problem(problem, requestID: context.requestID)
        }
        for (name, value) in Layout.headers where answer.headers[name] == nil { answer.headers[name] = value }
        return answer.response(requestID: context.requestID, logger: context.logger)
    }

    // MARK: Pages

    func open(_ page: Page, _ request: Request, _ context: APIContext) async throws -> Answer {
        let address = gateway.address(of: request, context)
        guard let (token, key) = try await session(request, from: address) else {
            return try signInPage(request, wanted: page.method == .get ? request.uri.description : nil)
        }
        var visit = Visit(
            key: key, token: token, query: QueryString.decode(request.uri.query), form: [],
            requestID: context.requestID, address: address, parameters: [:], gateway: gateway)
        for (name, value) in context.parameters { visit.parameters[String(name)] = String(value) }
        if page.method == .post {
            visit.form = try await Self.form(request, context)
            guard token.accepts(formToken: visit.field("token") ?? "") else { throw Self.badToken }
        }
        do {
            if page.path == SignIn.home, !page.access.admits(visit.caller),
                let place = Layout.Place.allCases.first(where: { $0.access.admits(visit.caller) })
            {
                return Layout.redirect(place.path)
            }
            try gateway.admit(visit.caller, page.access, page.limit)
            return try await page.handle(visit)
        } catch {
            let problem = Problem(error)
            if problem.status >= 500 { throw error }
            return Layout.problem(problem, requestID: context.requestID, for: visit)
        }
    }

    /// The session of the request's cookie while it lasts and its key is good, from an address that the key may have.
    private func session(
        _ request: Request, from address: IPAddress?
    ) async throws -> (token: SessionToken, key: APIKey)? {
        guard let text = Self.cookie(SignIn.sessionCookie, request), let token = SessionToken(text) else { return nil }
        let now = desk.engine.clock.expiry
        guard let (session, key) = try await desk.engine.store.session(token), !session.isOver(now: now),
            key.isUsable(now: now), Self.isAllowed(key, address)
        else { return nil }
        if now - session.seenAt >= Self.touchEvery { try await desk.engine.store.touchSession(token, now: now) }
        return (token, key)
    }

    private static let touchEvery: Duration = .seconds(60)

    static let badToken = Problem(status: 403, message: "This form is no longer valid. Reload the page and try again.")

    private static func isAllowed(_ key: APIKey, _ address: IPAddress?) -> Bool {
        guard !key.cidrs.isEmpty else { return true }
        return address.map { address in key.cidrs.contains { $0.contains(address) } } ?? false
    }

    // MARK: In and out

    func signIn(_ request: Request, _ context: APIContext) async throws -> Answer {
        let expiry = desk.engine.clock.expiry
        let address = gateway.address(of: request, context)
        let form = try await Self.form(request, context)
        func field(_ name: String) -> String { form.last { $0.name == name }?.value ?? "" }
        let visitor = Self.cookie(SignIn.visitorCookie, request).flatMap { SessionToken($0) }
        guard let visitor, visitor.accepts(formToken: field("token")) else { throw Self.badToken }
        let shown = field("key").filter { !$0.isWhitespace }
        var found: APIKey?
        if let text = APIKeyText(shown) { found = try await desk.engine.store.apiKey(text) }
        guard let key = found, key.isUsable(now: expiry), Self.isAllowed(key, address) else {
            let refused = RefusedCredential(
                .unauthorized, found == nil ? .unknown : .dead, shown: shown, keyID: found?.id)
            let problem = gateway.failedLogins.answer(
                refused, from: address, requestID: context.requestID, now: desk.engine.clock.engine,
                logger: context.logger)
            guard problem == .unauthorized else { throw problem }
            return try signInPage(request, wanted: SignIn.safePath(field("next")), isRefused: true)
        }
        try gateway.limiter.take(.signIn, for: Caller.key(key).actor, now: desk.engine.clock.engine)
        var generator = EntropyGenerator(desk.engine.entropy)
        let token = SessionToken(using: &generator)
        let requester = Requester(
            actor: Caller.key(key).actor, requestID: context.requestID, address: address?.description)
        try await desk.audit.note("dashboard.sign-in", by: requester, now: expiry) { repeated in
            let noted = SessionNote(by: requester, parameters: CollapsedAudit.text(repeated))
            try await desk.engine.store.openSession(token, key: key, noting: noted, now: expiry)
        } otherwise: {
            try await desk.engine.store.openSession(token, key: key, noting: nil, now: expiry)
        }
        var answer = Layout.redirect(SignIn.safePath(field("next")) ?? SignIn.home)
        answer.headers["Set-Cookie"] = SignIn.cookie(
            SignIn.sessionCookie, token.text, seconds: Limits.sessionSeconds, isSecure: desk.publicURL.isTLS)
        return answer
    }

    func signOut(_ request: Request, _ context: APIContext) async throws -> Answer {
        let address = gateway.address(of: request, context)
        let form = try await Self.form(request, context)
        guard let (token, key) = try await session(request, from: address) else {
            return Layout.redirect(SignIn.home)
        }
        guard token.accepts(formToken: form.last { $0.name == "token" }?.value ?? "") else { throw Self.badToken }
        let requester = Requester(
            actor: Caller.key(key).actor, requestID: context.requestID, address: address?.description)
        let now = desk.engine.clock.wall
        try await desk.audit.note("dashboard.sign-out", by: requester, now: now) { repeated in
            let noted = SessionNote(by: requester, parameters: CollapsedAudit.text(repeated))
            try await desk.engine.store.closeSession(token, key: key, noting: noted, now: now)
        } otherwise: {
            try await desk.engine.store.closeSession(token, key: key, noting: nil, now: now)
        }
        var answer = Layout.redirect(SignIn.home)
        answer.headers["Set-Cookie"] = SignIn.cookie(
            SignIn.sessionCookie, "", seconds: 0, isSecure: desk.publicURL.isTLS)
        return answer
    }

    /// The form to sign in with: 200 at the dashboard's own address, 401 in the place of another page.
    private func signInPage(_ request: Request, wanted: String?, isRefused: Bool = false) throws -> Answer {
        var generator = EntropyGenerator(desk.engine.entropy)
        let known = Self.cookie(SignIn.visitorCookie, request).flatMap { SessionToken($0) }
        let visitor = known ?? SessionToken(using: &generator)
        var view = View()
        view.text("title", "Sign in")
        view.text("token", visitor.formToken)
        view.text("next", wanted.flatMap(SignIn.safePath))
        view.flag("refused", isRefused)
        let isHome = request.uri.path == SignIn.home && !isRefused
        var answer = try Layout.page("sign_in", view, status: isHome ? 200 : 401)
        answer.headers["Set-Cookie"] = SignIn.cookie(
            SignIn.visitorCookie, visitor.text, seconds: Limits.sessionSeconds, isSecure: desk.publicURL.isTLS)
        return answer
    }

    // MARK: What a request says

    static func cookie(_ name: String, _ request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let sides = pair.split(separator: "=", maxSplits: 1)
                if sides.count == 2, sides[0].filter({ $0 != " " }) == name { return String(sides[1]) }
            }
        }
        return nil
    }

    /// - Throws: 415 for anything but a form, 413 for a large one.
    private static func form(
        _ request: Request, _ context: APIContext
    ) async throws -> [(name: String, value: String)] {
        let type = request.headers[.contentType]?.split(separator: ";").first.map { $0.filter { $0 != " " } }
        guard type?.lowercased() == "application/x-www-form-urlencoded" else {
            throw Problem(status: 415, message: "The request must be a form.")
        }
        try request.refuseEncodedBody()
        context.wantsBody(of: request)
        do {
            let body = try await request.body.collect(upTo: Limits.formBytes)
            return QueryString.decode(String(buffer: body))
        } catch is NIOTooManyBytesError {
            throw Problem(status: 413, message: "The form is too large.", headers: ["Connection": "close"])
        } catch {
            throw Problem(status: 400, message: "Bad request.")
        }
    }
}

/// Where and how visitors sign in.
enum SignIn {
    static let home = "/dashboard"
    static let path = "/dashboard/sign-in"
    static let outPath = "/dashboard/sign-out"
    static let sessionCookie = "reenvio_session"
    /// Ties the form to the browser that asked for it, before there is a session.
    static let visitorCookie = "reenvio_visitor"

    static func cookie(_ name: String, _ value: String, seconds: Int64, isSecure: Bool) -> String {
        "\(name)=\(value); Path=/dashboard; Max-Age=\(seconds); HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
    }

    /// The page to go on to, where it is one of ours: never another host.
    static func safePath(_ text: String) -> String? {
        guard text == home || text.hasPrefix(home + "/") || text.hasPrefix(home + "?"), text.utf8.count <= 1_000,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }), !text.contains("//")
        else { return nil }
        return text
    }
}
