/// What any text given from outside must be: bounded, and free of control characters, which terminals obey and
/// spreadsheets and logs misread (`docs/contract.md` 2.1).
package enum TextRule {
    /// What is wrong with `text`, as the end of a sentence about it; nil where it is fine.
    /// - Parameter max: in Unicode scalars.
    /// - Parameter lines: whether it may have several lines, and tabs in them.
    package static func fault(
        of text: String, max: Int = Limits.textCharacters, lines: Bool = false
    ) -> String? {
        func length(_ count: Int) -> String? {
            count > max ? "must not be longer than \(max) characters" : nil
        }
        // Most texts are printable ASCII, which has no scalar to look up.
        if text.utf8.allSatisfy({ 0x20..<0x7f ~= $0 }) { return length(text.utf8.count) }
        for scalar in text.unicodeScalars {
            if scalar == "\0" { return "must not contain U+0000" }
            if scalar.properties.generalCategory == .control, !(lines && lineControls.contains(scalar)) {
                return "must not contain control characters"
            }
        }
        return length(text.unicodeScalars.count)
    }

    private static let lineControls: [Unicode.Scalar] = ["\n", "\r", "\t"]
}
