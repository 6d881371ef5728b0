/// What is left lying about when work stops halfway: notes to oneself, and tests switched off.
enum LeftoverRule {
    /// In pieces, so that this file does not trip over itself.
    static let notes = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]
    static let switchedOff = "." + "disabled("

    static func offences(in file: SourceFile) -> [Offence] {
        file.lines.indices.compactMap { index in
            if let note = notes.first(where: { isWord($0, in: file.lines[index]) }) {
                return file.offence(at: index, "'\(note)' is left over: do it, or open an issue")
            }
            if file.lines[index].contains(switchedOff) {
                return file.offence(at: index, "a test is switched off: mend it, delete it, or give it .enabled(if:)")
            }
            return nil
        }
    }

    private static func isWord(_ note: String, in line: String) -> Bool {
        guard line.contains(note) else { return false }
        return line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains { $0 == note }
    }
}
