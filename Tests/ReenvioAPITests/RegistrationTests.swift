import HTTPTypes
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Webhook registrations (`docs/contract.md` 6.5), and who may sign for them (9).
struct RegistrationTests {
    private static let path = "/v3/accounts/api/webhooks"
    private static let account =
        #""source_account_branch_identifier":"0001","source_account_number":"123456""#
    private static let body = #"{"url":"https://a.example/hook","type_webhook":"CASHOUT",\#(account)}"#

    /// A user of the account, whose merchant 42 is an account mirror; 43 is another of the account's, 44 another's.
    private static func run(
        merchants: Set<Int64>? = nil,
        _ body: @Sendable @escaping (APIFixture, APIFixture.Credential) async throws -> Void
    ) async throws {
        try await APIFixture.run { api async throws in
            for (id, account, number) in [(Int64(42), Int64(1), "123456"), (43, 1, "43"), (44, 2, "44")] {
                let merchant = NewMerchant(
                    id: id, accountID: account, name: "Mirror \(id)", branch: "0001", number: number,
                    signingSecret: try Fixtures.signingSecret)
                _ = try await api.store.createMerchant(merchant, actor: "test", now: Fixtures.start)
            }
            try await body(api, try await api.token(of: try await api.user(id: 246, merchants: merchants).credentials))
        }
    }

    private static func answer(
        _ id: Int64, url: String = "https://a.example/hook", type: String = "CASHOUT", authorization: Bool = false,
        functionsKey: Bool = false
    ) -> String {
        #"{"webhook_id":\#(id),"url":"\#(url)","type_webhook":"\#(type)",\#(account),"#
            + #""authorization_token_set":\#(authorization),"x_functions_key_set":\#(functionsKey)}"#
    }

    @Test("create answers 201 with every key, list shows it under both paths, update and delete are 200")
    func story() async throws {
        try await Self.run { api, user in
            let made = try await api.call(.post, Self.path, Self.body, as: user)
            #expect(made.status == 201)
            #expect(made.body == Self.answer(1))
            let query = "?source_account_branch_identifier=0001&source_account_number=123456"
            for path in [Self.path, "/v3/accounts/webhooks"] {
                let listed = try await api.call(.get, path + query, as: user)
                #expect(listed.status == 200)
                #expect(listed.body == #"{"results":[\#(Self.answer(1))]}"#)
            }
            let updated = try await api.call(
                .patch, "\(Self.path)/1", #"{"type_webhook":"PIX_CASHIN_RECEIVED","authorization_token":"Token x"}"#,
                as: user)
            #expect(updated.status == 200)
            #expect(updated.body == Self.answer(1, type: "PIX_CASHIN_RECEIVED", authorization: true))
            let deleted = try await api.call(.delete, "\(Self.path)/1", as: user)
            #expect(deleted.status == 200)
            #expect(deleted.body == #"{"message":"Webhook deleted successfully"}"#)
            #expect(try await api.call(.get, Self.path + query, as: user).body == #"{"results":[]}"#)
            for method in [HTTPRequest.Method.patch, .delete] {
                let gone = try await api.call(method, "\(Self.path)/1", method == .patch ? "{}" : nil, as: user)
                #expect(gone.status == 404)
                #expect(gone.body == #"{"message":"Webhook not found."}"#)
            }
        }
    }

    @Test("the list takes both account fields, and optionally an id and a type")
    func list() async throws {
        try await Self.run { api, user in
            for type in ["CASHIN", "CASHOUT", "PIX_CASHOUT_ERROR"] {
                let body = Self.body.replacing("CASHOUT", with: type)
                #expect(try await api.call(.post, Self.path, body, as: user).status == 201)
            }
            let query = "\(Self.path)?source_account_branch_identifier=0001&source_account_number=123456"
            func ids(_ more: String) async throws -> [String] {
                let body = try await api.call(.get, query + more, as: user).body
                return body.split(separator: #""webhook_id":"#).dropFirst().map { String($0.prefix { $0 != "," }) }
            }
            #expect(try await ids("") == ["1", "2", "3"])
            #expect(try await ids("&webhook_id=2") == ["2"])
            #expect(try await ids("&type_webhook=PIX_CASHOUT_ERROR") == ["3"])
            #expect(try await ids("&type_webhook=CASHIN&webhook_id=2") == [])
            let faults = [
                ("?source_account_number=1", "source_account_branch_identifier"),
                (
                    "?source_account_branch_identifier=1&source_account_number=1&whatever=",
                    #""whatever":["The whatever parameter is not known."]"#
                ),
                ("?source_account_branch_identifier=1", "source_account_number"),
                ("?source_account_branch_identifier=1&source_account_number=", "source_account_number"),
                ("?source_account_branch_identifier=1&source_account_number=1&source_account_number=1", "once"),
                ("?source_account_branch_identifier=1&source_account_number=1&webhook_id=x", "webhook_id"),
                ("?source_account_branch_identifier=1&source_account_number=1&type_webhook=cashin", "type_webhook"),
            ]
            for (query, word) in faults {
                let reply = try await api.call(.get, Self.path + query, as: user)
                #expect(reply.status == 422)
                #expect(reply.body.hasPrefix(#"{"message":"Validation error","errors":{"#))
                #expect(reply.body.contains(word), "\(reply.body)")
            }
        }
    }

    /// A body with something replaced, the field at fault, and the text.
    private struct Faulty: Sendable, CustomStringConvertible {
        var replacing: String
        var with: String
        var field: String
        var text: String

        var description: String { "\(field): \(text)" }
    }

    private static let publicHost = "The url field must be an https URL with a public host."
    private static let long = String(repeating: "x", count: 256)

    private static let faulty: [Faulty] = [
        Faulty(replacing: "https", with: "http", field: "url", text: "The url field must be an https URL."),
        Faulty(replacing: "a.example", with: "127.0.0.1", field: "url", text: publicHost),
        Faulty(replacing: "a.example", with: "localhost", field: "url", text: publicHost),
        Faulty(
            replacing: "a.example", with: "u:p@a.example", field: "url",
            text: "The url field must not contain user info."),
        Faulty(replacing: "https://a.example/hook", with: "   ", field: "url", text: "The url field is required."),
        Faulty(
            replacing: "/hook", with: "/\(long)", field: "url",
            text: "The url field must not be longer than 255 characters."),
        Faulty(
            replacing: #""https://a.example/hook""#, with: "null", field: "url", text: "The url field must be a string."
        ),
        Faulty(
            replacing: #""CASHOUT""#, with: #""Cashout""#, field: "type_webhook",
            text: "The selected type_webhook is invalid."),
        Faulty(
            replacing: #""CASHOUT""#, with: "null", field: "type_webhook",
            text: "The type_webhook field must be a string."),
        Faulty(
            replacing: #""0001""#, with: "1", field: "source_account_branch_identifier",
            text: "The source_account_branch_identifier field must be a string."),
        Faulty(
            replacing: "{", with: #"{"authorization_token":"a\u000ab","#, field: "authorization_token",
            text: "The authorization_token field must not contain control characters."),
        Faulty(
            replacing: "{", with: #"{"x_functions_key":"\u0085","#, field: "x_functions_key",
            text: "The x_functions_key field must not contain control characters."),
        Faulty(
            replacing: "{", with: #"{"x_functions_key":"\#(long)","#, field: "x_functions_key",
            text: "The x_functions_key field must not be longer than 255 characters."),
    ]

    @Test("what is wrong with a create", arguments: faulty)
    private func invalid(_ faulty: Faulty) async throws {
        try await Self.run { api, user in
            let body = Self.body.replacing(faulty.replacing, with: faulty.with)
            let reply = try await api.call(.post, Self.path, body, as: user)
            #expect(reply.status == 422)
            let errors = #"{"\#(faulty.field)":["\#(faulty.text)"]}"#
            #expect(reply.body == #"{"message":"Validation error","errors":\#(errors)}"#)
            #expect(try await api.store.number("SELECT count(*) FROM registrations") == 0)
        }
    }

    @Test("every missing field is named at once")
    func missing() async throws {
        try await Self.run { api, user in
            let reply = try await api.call(.post, Self.path, "{}", as: user)
            #expect(reply.status == 422)
            let fields = ["url", "type_webhook", "source_account_branch_identifier", "source_account_number"]
            let errors = fields.map { #""\#($0)":["The \#($0) field is required."]"# }.joined(separator: ",")
            #expect(reply.body == #"{"message":"Validation error","errors":{\#(errors)}}"#)
        }
    }

    @Test("blanks around the URL are trimmed; 255 characters are counted without them")
    func trimming() async throws {
        try await Self.run { api, user in
            let url = "https://a.example/" + String(repeating: "x", count: 237)
            let body = Self.body.replacing("https://a.example/hook", with: "  \(url)\\t ")
            let made = try await api.call(.post, Self.path, body, as: user)
            #expect(made.body == Self.answer(1, url: url))
        }
    }

    @Test("tokens are sealed, cleared by null, left alone when absent, and never shown")
    func tokens() async throws {
        try await Self.run { api, user in
            let body = Self.body.replacing("{", with: #"{"authorization_token":"Bearer s1","x_functions_key":"s2","#)
            let made = try await api.call(.post, Self.path, body, as: user)
            #expect(made.body == Self.answer(1, authorization: true, functionsKey: true))
            let sealed = try await api.store.engine.read { db in
                try db.all("SELECT authorization_sealed, functions_key_sealed FROM registrations") {
                    $0.blob(0) + $0.blob(1)
                }
            }
            #expect(sealed.count == 1)
            for token in ["s1", "s2"] {
                #expect(sealed.allSatisfy { $0.firstRange(of: Array(token.utf8)) == nil })
            }
            func patch(_ body: String) async throws -> String {
                try await api.call(.patch, "\(Self.path)/1", body, as: user).body
            }
            #expect(try await patch("{}") == Self.answer(1, authorization: true, functionsKey: true))
            #expect(
                try await patch(#"{"authorization_token":null,"url":"https://a.example/other"}"#)
                    == Self.answer(1, url: "https://a.example/other", functionsKey: true))
            #expect(
                try await patch(#"{"x_functions_key":null,"authorization_token":"s3"}"#)
                    == Self.answer(1, url: "https://a.example/other", authorization: true))
            #expect(try await api.call(.delete, "\(Self.path)/1", as: user).status == 200)
            let kept = "SELECT count(*) FROM registrations WHERE authorization_sealed IS NOT NULL"
            #expect(try await api.store.number(kept) == 0, "a deleted one keeps no secret")
            let audit = try await api.store.listAudit(CursorPage()).rows.filter { $0.action.hasPrefix("webhook.") }
            #expect(
                audit.map(\.parameters) == [
                    "", "authorization_token, x_functions_key", "url, authorization_token",
                    "merchant 42, CASHOUT to https://a.example:443",
                ])
            #expect(Set(audit.map(\.requester.actor)) == ["user:246"])
            #expect(Set(audit.map(\.target)) == ["webhook 1"])
        }
    }

    @Test("the account of a registration cannot be changed, and null is for tokens only")
    func patchFaults() async throws {
        try await Self.run { api, user in
            _ = try await api.call(.post, Self.path, Self.body, as: user)
            let same = try await api.call(.patch, "\(Self.path)/1", "{\(Self.account)}", as: user)
            #expect(same.status == 200)
            for (body, error) in [
                (#"{"source_account_number":"43"}"#, "The source_account_number field cannot be changed."),
                (#"{"source_account_number":null}"#, "The source_account_number field must be a string."),
                (#"{"url":null}"#, "The url field must be a string."),
                (#"{"url":1}"#, "The url field must be a string."),
                (#"{"type_webhook":null}"#, "The type_webhook field must be a string."),
                (#"{"type_webhook":"MED"}"#, "The selected type_webhook is invalid."),
                (#"{"url":"https://10.0.0.1/"}"#, "The url field must be an https URL with a public host."),
            ] {
                let reply = try await api.call(.patch, "\(Self.path)/1", body, as: user)
                #expect(reply.status == 422)
                #expect(reply.body.contains(error), "\(reply.body)")
            }
            #expect(try await api.call(.patch, "\(Self.path)/1", "[]", as: user).status == 400)
        }
    }

    @Test("accounts and webhooks of others look like unknown ones; a closed account is 400")
    func tenancy() async throws {
        try await Self.run(merchants: [42, 43]) { api, user in
            let other = try await api.token(of: try await api.user(accountID: 2).credentials)
            let narrow = try await api.token(of: try await api.user(merchants: [43]).credentials)
            #expect(try await api.call(.post, Self.path, Self.body, as: user).status == 201)
            for stranger in [other, narrow] {
                let made = try await api.call(.post, Self.path, Self.body, as: stranger)
                #expect(made.status == 404)
                #expect(made.body == #"{"message":"Account not found."}"#)
                let query = "?source_account_branch_identifier=0001&source_account_number=123456"
                #expect(try await api.call(.get, Self.path + query, as: stranger).body == made.body)
                for (method, body) in [(HTTPRequest.Method.patch, "{}"), (.delete, nil)] {
                    let reply = try await api.call(method, "\(Self.path)/1", body, as: stranger)
                    #expect(reply.status == 404)
                    #expect(reply.body == #"{"message":"Webhook not found."}"#)
                }
            }
            let unknown = try await api.call(.post, Self.path, Self.body.replacing("0001", with: "9"), as: user)
            #expect(unknown.status == 404)
            for id in ["2", "x", "99999999999999999999"] {
                #expect(try await api.call(.delete, "\(Self.path)/\(id)", as: user).status == 404)
            }
            _ = try await api.store.closeMerchant(id: 42, by: Requester(actor: "test"), now: Fixtures.start)
            for (method, path, body) in [
                (HTTPRequest.Method.post, Self.path, Self.body), (.patch, "\(Self.path)/1", "{}"),
                (.delete, "\(Self.path)/1", nil),
                (.get, "\(Self.path)?source_account_branch_identifier=0001&source_account_number=123456", nil),
            ] {
                let reply = try await api.call(method, path, body, as: user)
                #expect(reply.status == 400)
                #expect(reply.body == #"{"message":"Account is closed."}"#)
            }
            #expect(
                try await api.call(.delete, "\(Self.path)/1", as: other).status == 404, "not even that it is closed")
        }
    }

    @Test("a second registration of one URL and type is a fault of the url, made or changed into; others are not")
    func once() async throws {
        try await Self.run { api, user in
            let fault =
                #"{"message":"Validation error","errors":"#
                + #"{"url":["The url has already been registered for this type_webhook."]}}"#
            let other = Self.body.replacing("a.example", with: "b.example")
            #expect(try await api.call(.post, Self.path, Self.body, as: user).status == 201)
            #expect(try await api.call(.post, Self.path, other, as: user).status == 201)
            for spelled in [Self.body, Self.body.replacing("a.example", with: "A.Example:443")] {
                let reply = try await api.call(.post, Self.path, spelled, as: user)
                #expect(reply.status == 422)
                #expect(reply.body == fault)
            }
            let changed = try await api.call(
                .patch, "\(Self.path)/2", #"{"url":"https://a.example/hook#x"}"#, as: user)
            #expect(changed.status == 422)
            #expect(changed.body == fault)
            let otherAccount = Self.body.replacing("123456", with: "43")
            #expect(try await api.call(.post, Self.path, otherAccount, as: user).status == 201)
            let otherType = Self.body.replacing("CASHOUT", with: "PIX_CASHOUT_SUCCESS")
            #expect(try await api.call(.post, Self.path, otherType, as: user).status == 201)
        }
    }

    @Test("an account has at most 100 webhooks; a deleted one makes room")
    func limit() async throws {
        try await Self.run { api, user in
            for number in 0..<100 {
                let body = Self.body.replacing("/hook", with: "/\(number)")
                #expect(try await api.call(.post, Self.path, body, as: user).status == 201)
            }
            let refused = try await api.call(.post, Self.path, Self.body, as: user)
            #expect(refused.status == 422)
            #expect(
                refused.body
                    == #"{"message":"Validation error","errors":{"url":["An account may have at most 100 webhooks."]}}"#
            )
            let otherAccount = Self.body.replacing("123456", with: "43")
            #expect(try await api.call(.post, Self.path, otherAccount, as: user).status == 201)
            #expect(try await api.call(.delete, "\(Self.path)/7", as: user).status == 200)
            #expect(try await api.call(.post, Self.path, Self.body, as: user).status == 201)
        }
    }

    @Test("a user with an HMAC key has to sign creates, updates and deletes, before a body is looked at")
    func hmac() async throws {
        try await Self.run { api, user in
            let key = "hmac-test-0001"
            #expect(
                try await api.store.setHMACKey(key, userID: 246, by: Requester(actor: "test"), now: Fixtures.start))
            func post(_ body: String, _ hmac: String?) async throws -> APIFixture.Reply {
                try await api.call(.post, Self.path, body, as: user, headers: hmac.map { ["hmac": $0] } ?? [:])
            }
            func sign(_ body: String) -> String { BodySignature.text(of: body.utf8, key: Array(key.utf8)) }
            let right = sign(Self.body)
            let flipped = (right.hasPrefix("0") ? "1" : "0") + right.dropFirst()
            for wrong in [nil, "", "x", flipped, String(right.dropLast()), sign(Self.body + " ")] {
                for body in [Self.body, "{}", "not json"] {
                    let reply = try await post(body, wrong)
                    #expect(reply.status == 401)
                    #expect(reply.body == #"{"message":"Unauthorized"}"#)
                }
            }
            // Each of those counted as a failed authentication.
            api.clock.advance(by: .seconds(61))
            #expect(try await post("not json", sign("not json")).status == 400)
            #expect(try await post("{ }", sign("{ }")).status == 422, "over the bytes as they came")
            #expect(try await post(Self.body, right).status == 201)
            // Behind the signature, which is right in either case: the URL is registered already.
            #expect(try await post(Self.body, right.uppercased()).status == 422)
            let one = "\(Self.path)/1"
            let change = #"{"url":"https://other.example/hook"}"#
            for (method, body, signed) in [(HTTPRequest.Method.patch, change, change), (.delete, "", one)] {
                for wrong in ["", sign(signed + " "), sign(Self.path), sign("{}")] {
                    let reply = try await api.call(method, one, body, as: user, headers: ["hmac": wrong])
                    #expect(reply.status == 401, "\(method) \(wrong)")
                }
                let reply = try await api.call(method, one, body, as: user, headers: ["hmac": sign(signed)])
                #expect(reply.status == 200)
            }
        }
    }

    @Test("a URL of another origin takes no token along that is not given again; the audit names both origins")
    func tokensStayAtTheirOrigin() async throws {
        try await Self.run { api, user in
            let create = Self.body.replacing(
                "{", with: #"{"authorization_token":"a","x_functions_key":"f","#, maxReplacements: 1)
            #expect(try await api.call(.post, Self.path, create, as: user).status == 201)
            func tokens(after body: String) async throws -> [Bool] {
                let reply = try await api.call(.patch, "\(Self.path)/1", body, as: user)
                #expect(reply.status == 200, "\(reply.body)")
                return ["authorization_token_set", "x_functions_key_set"].map { reply.body.contains("\"\($0)\":true") }
            }
            #expect(
                try await tokens(after: #"{"url":"https://a.example:443/elsewhere"}"#) == [true, true],
                "the same origin")
            #expect(try await tokens(after: #"{"url":"https://b.example/x"}"#) == [false, false])
            _ = try await tokens(after: #"{"authorization_token":"a","x_functions_key":"f"}"#)
            for (url, body, expected) in [
                ("https://b.example:8443/x", #","authorization_token":"b""#, [true, false]),
                ("https://c.example:8443/x", #","x_functions_key":"g""#, [false, true]),
                ("https://c.example/x", #","x_functions_key":"g","authorization_token":null"#, [false, true]),
            ] {
                #expect(try await tokens(after: "{\"url\":\"\(url)\"\(body)}") == expected, "\(url)")
            }
            let parameters = try await api.store.engine.read { db in
                try db.all("SELECT parameters FROM audit ORDER BY id DESC LIMIT 1") { $0.text(0) }
            }
            #expect(
                parameters == [
                    "url, authorization_token, x_functions_key; from https://c.example:8443 to https://c.example:443"
                ])
        }
    }
}
