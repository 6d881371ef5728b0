package import ReenvioModel
package import ReenvioStore

/// The v3 side of a test store.
extension Store {
    /// A merchant that is an account mirror.
    package func createMirror(
        id: Int64, accountID: Int64 = Fixtures.accountID, branch: String = "0001", number: String = "900002"
    ) async throws {
        let merchant = NewMerchant(
            id: id, accountID: accountID, name: "Mirror \(id)", branch: branch, number: number,
            signingSecret: try Fixtures.signingSecret)
        _ = try await createMerchant(merchant, actor: "test", now: Fixtures.start)
    }

    /// A user that may use everything of its account.
    package func createUser(id: Int64, accountID: Int64 = Fixtures.accountID) async throws -> User {
        var generator = SystemRandomNumberGenerator()
        let new = NewUser(
            id: id, accountID: accountID, merchants: nil, credentials: ClientCredentials(using: &generator))
        let made = try await createUser(new, by: Requester(actor: "test"), now: Fixtures.start)
        guard let user = try await user(id: made) else { throw Fixtures.Missing() }
        return user
    }
}
