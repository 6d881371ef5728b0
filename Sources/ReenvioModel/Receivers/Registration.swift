/// A webhook registration of v3: where events of an account go, and which (`docs/contract.md` 6.5). Its tokens are
/// write-only: only whether there is one is known.
package struct Registration: Equatable, Sendable {
    package var id: Int64
    package var merchantID: Int64
    package var url: String
    package var selection: EventSelection
    package var account: AccountName
    package var hasAuthorizationToken: Bool
    package var hasFunctionsKey: Bool

    package init(
        id: Int64, merchantID: Int64, url: String, selection: EventSelection, account: AccountName,
        hasAuthorizationToken: Bool, hasFunctionsKey: Bool
    ) {
        self.id = id
        self.merchantID = merchantID
        self.url = url
        self.selection = selection
        self.account = account
        self.hasAuthorizationToken = hasAuthorizationToken
        self.hasFunctionsKey = hasFunctionsKey
    }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("webhook_id", id)
        writer.member("url", url)
        writer.member("type_webhook", selection.rawValue)
        writer.member(AccountName.branchKey, account.branch)
        writer.member(AccountName.numberKey, account.number)
        writer.member("authorization_token_set", hasAuthorizationToken)
        writer.member("x_functions_key_set", hasFunctionsKey)
    }
}

/// How an account mirror is addressed from outside (`docs/contract.md` 1).
package struct AccountName: Equatable, Sendable {
    package static let branchKey = "source_account_branch_identifier"
    package static let numberKey = "source_account_number"

    package var branch: String
    package var number: String

    package init(branch: String, number: String) {
        self.branch = branch
        self.number = number
    }
}

/// What a registration is made of.
package struct RegistrationDraft: Sendable {
    package var url: ReceiverURL
    package var selection: EventSelection
    package var authorizationToken: String?
    package var functionsKey: String?

    package init(
        url: ReceiverURL, selection: EventSelection, authorizationToken: String? = nil, functionsKey: String? = nil
    ) {
        self.url = url
        self.selection = selection
        self.authorizationToken = authorizationToken
        self.functionsKey = functionsKey
    }

    /// Reads the body of a create.
    /// - Throws: every fault at once.
    package static func read(
        _ body: JSONObject, policy: AddressPolicy
    ) throws(Faults) -> (draft: RegistrationDraft, account: AccountName) {
        var fields = FieldReader(body)
        let url = fields.registrationURL(required: true, policy: policy)
        let selection = fields.selection(required: true)
        let authorization = fields.token("authorization_token")
        let functionsKey = fields.token("x_functions_key")
        let branch = fields.plainText(AccountName.branchKey, required: true)
        let number = fields.plainText(AccountName.numberKey, required: true)
        try fields.throwFaults()
        guard let url, let selection, let branch, let number else { throw fields.faults }
        let draft = RegistrationDraft(
            url: url, selection: selection, authorizationToken: authorization.value, functionsKey: functionsKey.value)
        return (draft, AccountName(branch: branch, number: number))
    }
}

/// What a PATCH asks for. The account cannot be changed: it may be named, but only as it is.
package struct RegistrationChange: Sendable {
    /// A token is left alone, cleared by null, or replaced.
    package enum Token: Equatable, Sendable {
        case unchanged
        case cleared
        case replaced(String)

        package var value: String? {
            if case .replaced(let text) = self { text } else { nil }
        }
    }

    package var url: ReceiverURL?
    package var selection: EventSelection?
    package var authorizationToken: Token
    package var functionsKey: Token

    package init(
        url: ReceiverURL? = nil, selection: EventSelection? = nil, authorizationToken: Token = .unchanged,
        functionsKey: Token = .unchanged
    ) {
        self.url = url
        self.selection = selection
        self.authorizationToken = authorizationToken
        self.functionsKey = functionsKey
    }

    /// The names of what is changed, in the order of the body; for the audit.
    package var fields: [String] {
        var names: [String] = []
        if url != nil { names.append("url") }
        if selection != nil { names.append("type_webhook") }
        if authorizationToken != .unchanged { names.append("authorization_token") }
        if functionsKey != .unchanged { names.append("x_functions_key") }
        return names
    }

    /// The same with tokens that are not given cleared.
    package var clearingTokens: RegistrationChange {
        var change = self
        if change.authorizationToken == .unchanged { change.authorizationToken = .cleared }
        if change.functionsKey == .unchanged { change.functionsKey = .cleared }
        return change
    }

    /// Reads the body of a PATCH of a registration of `account`.
    /// - Throws: every fault at once.
    package static func read(
        _ body: JSONObject, of account: AccountName, policy: AddressPolicy
    ) throws(Faults) -> RegistrationChange {
        var fields = FieldReader(body)
        let change = RegistrationChange(
            url: fields.registrationURL(required: false, policy: policy), selection: fields.selection(required: false),
            authorizationToken: fields.token("authorization_token"), functionsKey: fields.token("x_functions_key"))
        for (key, current) in [(AccountName.branchKey, account.branch), (AccountName.numberKey, account.number)] {
            if let named = fields.plainText(key, required: false), named != current {
                fields.fault(key, "The \(key) field cannot be changed.")
            }
        }
        try fields.throwFaults()
        return change
    }
}

/// In 6.5 null is no absence: only tokens may be null.
extension FieldReader {
    fileprivate mutating func plainText(_ key: String, required: Bool) -> String? {
        if isNull(key) {
            fault(key, "The \(key) field must be a string.")
            return nil
        }
        return string(key, required: required)
    }

    /// The URL, without the blanks around it.
    fileprivate mutating func registrationURL(required: Bool, policy: AddressPolicy) -> ReceiverURL? {
        if isNull("url") {
            fault("url", "The url field must be a string.")
            return nil
        }
        return receiverURL("url", required: required, trimmed: true, policy: policy)
    }

    fileprivate mutating func selection(required: Bool) -> EventSelection? {
        guard let text = plainText("type_webhook", required: required) else { return nil }
        if let selection = EventSelection(rawValue: text) { return selection }
        fault("type_webhook", "The selected type_webhook is invalid.")
        return nil
    }

    /// A token becomes the value of a header.
    mutating func token(_ key: String) -> RegistrationChange.Token {
        if isNull(key) { return .cleared }
        return string(key).map { .replaced($0) } ?? .unchanged
    }
}
