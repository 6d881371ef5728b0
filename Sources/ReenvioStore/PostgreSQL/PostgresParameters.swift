import CLibPQ

/// Parameters of one execution as libpq takes them. Numbers go as text, which fits whatever integer type the server
/// chose; everything else goes in binary, arrays included.
struct PostgresParameters {
    private enum TypeID {
        static let bytes: Oid = 17
        static let int: Oid = 20
        static let text: Oid = 25
    }

    /// Types that the values say; 0 leaves it to the server, as for null.
    private(set) var types: [Oid] = []
    private var bytes: [UInt8] = []
    var byteCount: Int { bytes.count }
    /// Where each begins; nil for null.
    private var starts: [Int?] = []
    private var lengths: [CInt] = []
    private var formats: [CInt] = []

    init(_ values: [SQLValue]) {
        bytes.reserveCapacity(values.count * 16)
        for value in values {
            let start = bytes.count
            switch value {
            case .null: add(nil, 0, binary: false)
            case .int(let number):
                bytes.append(contentsOf: String(number).utf8)
                bytes.append(0)
                add(start, TypeID.int, binary: false)
            case .text(let text):
                bytes.append(contentsOf: Self.storable(text).utf8)
                add(start, TypeID.text, binary: true)
            case .blob(let blob):
                bytes.append(contentsOf: blob)
                add(start, TypeID.bytes, binary: true)
            }
        }
        // An empty value at the end needs an address, too.
        bytes.append(0)
    }

    /// Each column as an array.
    init(_ rows: SQLRows) {
        bytes.reserveCapacity(rows.count * rows.columns.count * 16)
        for (index, column) in rows.columns.enumerated() {
            let start = bytes.count
            appendArray(rows, column: index, column.type)
            add(start, 0, binary: true)
        }
        bytes.append(0)
    }

    /// PostgreSQL has no U+0000 in texts. None that is stored has it either: requests with it are refused. What is
    /// looked for may have it, and is then not found.
    private static func storable(_ text: String) -> String {
        text.hasZero ? text.replacing("\0", with: "\u{FFFD}") : text
    }

    private mutating func add(_ start: Int?, _ type: Oid, binary: Bool) {
        types.append(type)
        starts.append(start)
        lengths.append(CInt(bytes.count - (start ?? bytes.count)))
        formats.append(binary ? 1 : 0)
    }

    func withPointers<T>(
        _ body: (
            _ count: CInt, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<CInt>?, UnsafePointer<CInt>?
        ) throws -> T
    ) rethrows -> T {
        try bytes.withUnsafeBytes { raw in
            let base = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values = starts.map { start in start.flatMap { offset in base.map { UnsafePointer($0 + offset) } } }
            return try body(CInt(values.count), values, lengths, formats)
        }
    }

    // MARK: Arrays

    private mutating func append32(_ value: Int) {
        withUnsafeBytes(of: Int32(value).bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func appendArray(_ rows: SQLRows, column: Int, _ type: SQLRows.ColumnType) {
        append32(1)  // dimensions
        append32(1)  // there may be nulls
        append32(Int(type.id))
        append32(rows.count)
        append32(1)  // index of the first element
        rows.forEach(in: column) { appendElement($0) }
    }

    /// Its length and its bytes at once: these are nearly all of what is sent.
    private mutating func appendNumber(_ number: Int64) {
        let start = bytes.count
        bytes.append(contentsOf: Self.numberTemplate)
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: number.bigEndian, toByteOffset: start + 4, as: Int64.self) }
    }

    private static let numberTemplate: [UInt8] = [0, 0, 0, 8] + [UInt8](repeating: 0, count: 8)

    private mutating func appendElement(_ value: SQLValue) {
        switch value {
        case .null: append32(-1)
        case .int(let number): appendNumber(number)
        case .text(let text):
            let text = Self.storable(text)
            append32(text.utf8.count)
            bytes.append(contentsOf: text.utf8)
        case .blob(let blob):
            append32(blob.count)
            bytes.append(contentsOf: blob)
        }
    }
}

extension SQLRows.ColumnType {
    fileprivate var id: Oid {
        switch self {
        case .int: 20
        case .text: 25
        case .blob: 17
        }
    }
}

extension String {
    /// Looks at the bytes as they lie in memory, which is where texts of ours are.
    fileprivate var hasZero: Bool {
        utf8.withContiguousStorageIfAvailable { $0.contains(0) } ?? utf8.contains(0)
    }
}
