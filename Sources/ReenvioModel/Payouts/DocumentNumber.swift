/// The number of a Brazilian taxpayer: a CPF has 11 digits, a CNPJ 12 digits or letters and then 2 digits. Letters are
/// upper case. Check digits are not judged: the bank does that, and test data would not pass.
package struct DocumentNumber: Hashable, Sendable {
    /// Why a text is no number of its type.
    package enum Fault: Error, Hashable {
        case cpfCharacters, cpfLength, cnpjCharacters, cnpjLength, cnpjEnd

        /// What the number must be, as it follows "The X field".
        package var rule: String {
            switch self {
            case .cpfCharacters: "must contain digits only"
            case .cpfLength: "must have 11 digits"
            case .cnpjCharacters: "must contain digits and letters only"
            case .cnpjLength: "must have 14 digits or letters"
            case .cnpjEnd: "must end with 2 digits"
            }
        }
    }

    private static let cpfLength = 11
    private static let cnpjLength = 14

    package let text: String

    /// A number without punctuation, as an API takes it.
    package init(_ text: String, ofType type: String) throws(Fault) {
        if type == "CPF" {
            guard text.utf8.allSatisfy(\.isDigit) else { throw .cpfCharacters }
            guard text.utf8.count == Self.cpfLength else { throw .cpfLength }
        } else {
            guard !Self.hasOtherCharacters(text) else { throw .cnpjCharacters }
            guard text.utf8.count == Self.cnpjLength else { throw .cnpjLength }
            guard text.utf8.suffix(2).allSatisfy(\.isDigit) else { throw .cnpjEnd }
        }
        self.text = text.uppercased()
    }

    /// A number of either type as people write it, with or without points, dashes, slashes and blanks; nil for anything
    /// else.
    package init?(written text: String) {
        let plain = Self.plain(text)
        guard let number = try? Self(plain, ofType: plain.utf8.count == Self.cpfLength ? "CPF" : "CNPJ") else {
            return nil
        }
        self = number
    }

    /// Whether there is anything but ASCII digits and letters.
    package static func hasOtherCharacters(_ text: String) -> Bool {
        !text.utf8.allSatisfy { $0.isDigit || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) }
    }

    /// Whether a text is this number, however it is written: as a document or as a PIX key.
    package func isWritten(as text: String) -> Bool {
        text.utf8.count <= 64 && Self(written: text) == self
    }

    /// A text as it is stored where any text is taken: a number in upper case, its punctuation as it came.
    package static func stored(_ text: String) -> String {
        text.utf8.count <= 64 && Self(written: text) != nil ? text.uppercased() : text
    }

    private static func plain(_ text: String) -> String {
        text.filter { !"./- ".contains($0) }
    }
}
