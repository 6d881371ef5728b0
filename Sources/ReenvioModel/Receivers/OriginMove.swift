/// A request to move a merchant's URLs from one origin to another: scheme, host and port change, path and query stay
/// (`docs/contract.md` 13.16).
package struct OriginMove: Equatable, Sendable {
    package var merchantID: Int64
    /// As receivers are known by: `https://old.example:443`. Not judged: it may be what the rules refuse today.
    package var from: String
    package var to: ReceiverURL
    package var isDryRun: Bool
    /// Where an earlier call stopped: the last change looked at, on the merchant's clock.
    package var after: Int64?
    /// What the moved registrations send along from now on; nil: nothing, their old tokens are not for a new origin.
    package var authorizationToken: String?
    package var functionsKey: String?

    package init(
        merchantID: Int64, from: String, to: ReceiverURL, isDryRun: Bool = false, after: Int64? = nil,
        authorizationToken: String? = nil, functionsKey: String? = nil
    ) {
        self.merchantID = merchantID
        self.from = from
        self.to = to
        self.isDryRun = isDryRun
        self.after = after
        self.authorizationToken = authorizationToken
        self.functionsKey = functionsKey
    }

    package static func parse(
        _ object: JSONObject, merchantID: Int64, policy: AddressPolicy
    ) throws(Faults) -> OriginMove {
        var fields = FieldReader(object)
        let from = fields.origin("from", policy: .lenient)
        let to = fields.origin("to", policy: policy)
        if let from, let to, from.origin == to.origin {
            fields.fault("to", "The to field must be another origin than from.")
        }
        let dryRun = fields.boolean("dry_run") ?? false
        let cursor = fields.string("cursor")
        let after = cursor.flatMap { CursorPage.position($0) }
        if cursor != nil, after == nil { fields.fault("cursor", "The cursor field is not a cursor of this move.") }
        let authorization = fields.token("authorization_token").value
        let functionsKey = fields.token("x_functions_key").value
        try fields.throwFaults()
        guard let from, let to else { throw fields.faults }
        return OriginMove(
            merchantID: merchantID, from: from.origin, to: to, isDryRun: dryRun, after: after,
            authorizationToken: authorization, functionsKey: functionsKey)
    }

    /// A URL at the new origin: path, query and fragment as they are. Nil where it would be longer than a URL may be.
    package func moved(_ url: String) -> String? {
        let scheme = url.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let hierarchy = scheme.count == 2 ? scheme[1].dropFirst(2) : url.utf8[...]
        let rest = hierarchy.drop { !"/?#".utf8.contains($0) }
        let text = to.originText + String(Substring(rest))
        return text.unicodeScalars.count <= Limits.notificationURLCharacters ? text : nil
    }
}

extension ReceiverURL {
    /// The origin as a URL begins with it: without the default port.
    package var originText: String { "\(scheme.rawValue)://\(hostHeader)" }
}

extension AddressPolicy {
    /// Reads what may be stored from before the rules of today; decides nothing.
    package static let lenient = AddressPolicy(
        allowed: [CIDR("0.0.0.0/0"), CIDR("::/0")].compactMap(\.self), allowHTTP: true)
}

extension FieldReader {
    /// A required origin: a URL of scheme, host and port, with no path but `/`.
    fileprivate mutating func origin(_ key: String, policy: AddressPolicy) -> ReceiverURL? {
        guard let url = receiverURL(key, required: true, policy: policy) else { return nil }
        guard url.target == "/", !url.text.utf8.contains(UInt8(ascii: "#")) else {
            fault(key, "The \(path)\(key) field must be an origin: scheme, host and port, without a path.")
            return nil
        }
        return url
    }
}
