/// Shows that something is there without saying what (`docs/contract.md` 14).
package enum Mask {
    /// The first two and last two characters with six `*` between, whatever the length; below six characters all `*`.
    package static func text(_ text: String) -> String {
        masked(text, leading: 2)
    }

    /// A `debtor_document` as `docs/contract.md` 8.2 shows it: one and two characters are kept.
    package static func debtorDocument(_ text: String) -> String {
        masked(text, leading: 1)
    }

    private static func masked(_ text: String, leading: Int) -> String {
        guard text.count >= 6 else { return String(repeating: "*", count: text.count) }
        return "\(text.prefix(leading))******\(text.suffix(2))"
    }
}
