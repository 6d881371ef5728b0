/// Everything wrong with a request: field paths in the order they were met, each with its texts
/// (`docs/contract.md` 10, `errors` of a 422).
package struct Faults: Error, Equatable, Sendable {
    package private(set) var entries: [(field: String, texts: [String])] = []
    /// Where each field stands in `entries`: a request may have very many faults.
    private var positions: [String: Int] = [:]

    package init() {}

    package init(_ field: String, _ text: String) {
        add(field, text)
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// Faults past `Limits.faultsReported` fields are not listed: nobody reads them, and an answer must stay small.
    package mutating func add(_ field: String, _ text: String) {
        if let position = positions[field] {
            entries[position].texts.append(text)
        } else if entries.count < Limits.faultsReported {
            positions[field] = entries.count
            entries.append((field, [text]))
        }
    }

    package mutating func add(_ other: Faults) {
        for entry in other.entries {
            for text in entry.texts { add(entry.field, text) }
        }
    }

    package subscript(field: String) -> [String]? {
        positions[field].map { entries[$0].texts }
    }

    package static func == (left: Faults, right: Faults) -> Bool {
        left.entries.elementsEqual(right.entries) { $0.field == $1.field && $0.texts == $1.texts }
    }

    /// Writes `{"field":["text", ...], ...}`.
    package func write(into writer: inout JSONWriter) {
        writer.object { writer in
            for entry in entries {
                writer.member(entry.field) { writer in
                    writer.array { writer in
                        for text in entry.texts { writer.value(text) }
                    }
                }
            }
        }
    }
}
