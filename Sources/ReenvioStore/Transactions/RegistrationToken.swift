/// The two tokens of a v3 registration: sealed in its row, opened only for sending (`docs/contract.md` 6.5).
enum RegistrationToken: String {
    case authorization = "authorization token"
    case functionsKey = "functions key"

    /// What its sealing is bound to.
    func context(registrationID: Int64) -> String { "\(rawValue) of registration \(registrationID)" }
}
