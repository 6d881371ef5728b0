import CLibPQ

/// A row of a result in binary, which is in memory as a whole.
struct PostgresRow: SQLRow {
    let result: OpaquePointer
    let index: CInt

    func isNull(_ column: Int) -> Bool { PQgetisnull(result, index, CInt(column)) == 1 }

    /// A number of any integer type; what `sum` makes of them is a decimal; a condition is 1 or 0. Null is 0.
    func int(_ column: Int) -> Int64 {
        let bytes = bytes(column)
        switch bytes.count {
        case 0: return 0
        case 1: return Int64(bytes[0])
        case 2: return Int64(Int16(bitPattern: UInt16(Self.unsigned(bytes))))
        case 4 where !isDecimal(column): return Int64(Int32(bitPattern: UInt32(Self.unsigned(bytes))))
        case 8 where !isDecimal(column): return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
        default: return isDecimal(column) ? Self.decimal(bytes) : 0
        }
    }

    func text(_ column: Int) -> String { String(decoding: bytes(column), as: UTF8.self) }

    func blob(_ column: Int) -> [UInt8] { [UInt8](bytes(column)) }

    private func isDecimal(_ column: Int) -> Bool { PQftype(result, CInt(column)) == 1_700 }

    private func bytes(_ column: Int) -> UnsafeRawBufferPointer {
        let count = Int(PQgetlength(result, index, CInt(column)))
        return UnsafeRawBufferPointer(start: PQgetvalue(result, index, CInt(column)), count: count)
    }

    private static func unsigned(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The whole part of a `numeric`: how many digits to base 10,000, the power of the first, a sign, the places after
    /// the point, then the digits.
    private static func decimal(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        guard bytes.count >= 8 else { return 0 }
        func field(_ offset: Int) -> Int { Int(unsigned(bytes[offset..<offset + 2])) }
        let digits = field(0)
        let weight = Int(Int16(truncatingIfNeeded: field(2)))
        guard weight >= 0, bytes.count >= 8 + 2 * digits else { return 0 }
        var value: Int64 = 0
        for place in 0...weight {
            let digit = place < digits ? Int64(field(8 + 2 * place)) : 0
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10_000)
            let (sum, isBeyond) = product.addingReportingOverflow(digit)
            if isTooLarge || isBeyond { return field(4) == 0 ? .max : .min }
            value = sum
        }
        return field(4) == 0 ? value : -value
    }
}
