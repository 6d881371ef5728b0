/// Who asks for something, as history and audit show it (`docs/contract.md` 9).
package struct Requester: Sendable, Equatable {
    /// `key:<id>`, `user:<id>` or `cli:<os user>`.
    package var actor: String
    package var requestID: String?
    package var address: String?

    package init(actor: String, requestID: String? = nil, address: String? = nil) {
        self.actor = actor
        self.requestID = requestID
        self.address = address
    }
}
