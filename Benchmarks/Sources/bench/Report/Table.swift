import Foundation

/// Rows of figures under named columns, one row a run, and their medians below.
struct Table {
    struct Column {
        var name: String
        var digits: Int

        init(_ name: String, digits: Int = 0) {
            self.name = name
            self.digits = digits
        }
    }

    var title: String
    var columns: [Column]
    private var rows: [[Double]] = []

    init(_ title: String, _ columns: [Column]) {
        self.title = title
        self.columns = columns
    }

    mutating func add(_ row: [Double]) {
        rows.append(row)
    }

    func print() {
        Output.line("\n\(title)")
        var lines = [["run"] + columns.map(\.name)]
        for (index, row) in rows.enumerated() { lines.append(["\(index + 1)"] + texts(row)) }
        if rows.count > 1 { lines.append(["median"] + texts(medians)) }
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        for line in lines {
            let cells = zip(line, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }
            Output.line(cells.joined(separator: "  "))
        }
    }

    /// The median of a column.
    func median(of name: String) -> Double? {
        guard !rows.isEmpty else { return nil }
        return columns.firstIndex { $0.name == name }.map { medians[$0] }
    }

    private var medians: [Double] {
        columns.indices.map { column in
            let values = rows.map { $0[column] }.sorted()
            let middle = values.count / 2
            return values.count.isMultiple(of: 2) ? (values[middle - 1] + values[middle]) / 2 : values[middle]
        }
    }

    private func texts(_ row: [Double]) -> [String] {
        zip(row, columns).map { Self.text($0, digits: $1.digits) }
    }

    private static func text(_ value: Double, digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }
}

/// The same table for each kind of store that is measured.
struct Tables {
    private var tables: [(kind: StoreKind, table: Table)]

    init(_ kinds: [StoreKind], _ title: String, _ columns: [Table.Column]) {
        tables = kinds.map { ($0, Table("\(title), \($0.words)", columns)) }
    }

    mutating func add(_ kind: StoreKind, _ row: [Double]) {
        for index in tables.indices where tables[index].kind == kind { tables[index].table.add(row) }
    }

    /// All of them, and how the kinds compare by the medians of one column.
    func print(ratioOf column: String) {
        for (_, table) in tables { table.print() }
        func median(_ kind: StoreKind) -> Double? { tables.first { $0.kind == kind }?.table.median(of: column) }
        guard let ours = median(.postgres), let base = median(.sqlite), base > 0 else { return }
        Output.line("\nPostgreSQL over SQLite, \(column): \(String(format: "%.3f", ours / base))")
    }
}

extension StoreKind {
    fileprivate var words: String {
        switch self {
        case .sqlite: "SQLite, synchronous=FULL"
        case .postgres: "PostgreSQL beside it, fsync=on"
        }
    }
}

/// Standard output, unbuffered.
enum Output {
    static func line(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// What a figure cannot be read without: the machine, and what else it was doing.
    static func machine() {
        let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8))?.split(separator: " ").first ?? "?"
        let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
        let cpu = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? " unknown"
        line("\(ProcessInfo.processInfo.activeProcessorCount) cores,\(cpu), load \(load) before the first run")
    }
}
