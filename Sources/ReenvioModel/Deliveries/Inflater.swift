/// Inflates what a receiver compressed (RFC 1950 to 1952), no further than it is asked: an answer that would expand to
/// gigabytes costs as much as one that does not. Checksums are not compared; what is broken or cut off yields what came
/// before it. Our own, since the few bytes of an answer that are shown are not worth a C library in the binary.
struct Inflater {
    enum Wrapper { case gzip, zlib }

    private struct Broken: Error {}

    /// A Huffman code: how many codes there are of each length, and their symbols in order.
    private struct Code {
        var counts = [Int](repeating: 0, count: 16)
        var symbols: [Int] = []

        init(lengths: [Int]) throws {
            for length in lengths { counts[length] += 1 }
            counts[0] = 0
            var left = 1
            for count in counts.dropFirst() {
                left = 2 * left - count
                if left < 0 { throw Broken() }
            }
            for length in 1...15 {
                for (symbol, own) in lengths.enumerated() where own == length { symbols.append(symbol) }
            }
        }
    }

    private let input: [UInt8]
    private let limit: Int
    private var place: Int
    private var bits = 0
    private var bitCount = 0
    private var output: [UInt8] = []

    private init(_ input: [UInt8], from place: Int, atMost limit: Int) {
        self.input = input
        self.place = place
        self.limit = limit
    }

    /// The first `limit` bytes of what `input` expands to; nil where it is nothing of the kind.
    static func inflate(_ input: [UInt8], _ wrapper: Wrapper, atMost limit: Int) -> [UInt8]? {
        guard let start = wrapper == .gzip ? gzipStart(input) : zlibStart(input) else { return nil }
        var inflater = Inflater(input, from: start, atMost: limit)
        do {
            try inflater.run()
        } catch {
            // Cut off, or broken from here on.
            if inflater.output.isEmpty { return nil }
        }
        return inflater.output
    }

    /// Behind the header of RFC 1952, 2.3.
    private static func gzipStart(_ input: [UInt8]) -> Int? {
        guard input.count > 10, input[0] == 0x1F, input[1] == 0x8B, input[2] == 8 else { return nil }
        let flags = input[3]
        var place = 10
        if flags & 4 != 0 {
            guard input.count > place + 2 else { return nil }
            place += 2 + Int(input[place]) + Int(input[place + 1]) << 8
        }
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            guard place < input.count, let end = input[place...].firstIndex(of: 0) else { return nil }
            place = end + 1
        }
        if flags & 2 != 0 { place += 2 }
        return place < input.count ? place : nil
    }

    /// Behind the header of RFC 1950; some senders leave it out, and mean the bare stream by "deflate".
    private static func zlibStart(_ input: [UInt8]) -> Int? {
        guard input.count > 2 else { return nil }
        let hasHeader = input[0] & 0x0F == 8 && (Int(input[0]) << 8 + Int(input[1])) % 31 == 0
        return hasHeader ? 2 : 0
    }

    private mutating func run() throws {
        var isLast = false
        while !isLast, output.count < limit {
            isLast = try take(1) == 1
            switch try take(2) {
            case 0: try copyStored()
            case 1: try expand(Self.fixedLengths, Self.fixedDistances)
            case 2:
                let (lengths, distances) = try readCodes()
                try expand(lengths, distances)
            default: throw Broken()
            }
        }
    }

    private mutating func take(_ count: Int) throws -> Int {
        while bitCount < count {
            guard place < input.count else { throw Broken() }
            bits |= Int(input[place]) << bitCount
            place += 1
            bitCount += 8
        }
        defer {
            bits >>= count
            bitCount -= count
        }
        return bits & (1 << count - 1)
    }

    private mutating func copyStored() throws {
        (bits, bitCount) = (0, 0)
        guard place + 4 <= input.count else { throw Broken() }
        let length = Int(input[place]) | Int(input[place + 1]) << 8
        guard length ^ 0xFFFF == Int(input[place + 2]) | Int(input[place + 3]) << 8 else { throw Broken() }
        place += 4
        let end = min(place + length, input.count)
        output += input[place..<end].prefix(limit - output.count)
        if end < place + length { throw Broken() }
        place = end
    }

    private mutating func symbol(_ code: Code) throws -> Int {
        var (value, first, index) = (0, 0, 0)
        for count in code.counts.dropFirst() {
            value |= try take(1)
            if value - first < count { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw Broken()
    }

    private mutating func expand(_ lengths: Code, _ distances: Code) throws {
        while output.count < limit {
            let symbol = try symbol(lengths)
            if symbol < 256 {
                output.append(UInt8(symbol))
                continue
            }
            if symbol == 256 { return }
            guard symbol - 257 < Self.lengthBases.count else { throw Broken() }
            let length = Self.lengthBases[symbol - 257] + (try take(Self.lengthBits[symbol - 257]))
            let place = try self.symbol(distances)
            guard place < Self.distanceBases.count else { throw Broken() }
            let distance = Self.distanceBases[place] + (try take(Self.distanceBits[place]))
            guard distance <= output.count else { throw Broken() }
            for _ in 0..<min(length, limit - output.count) { output.append(output[output.count - distance]) }
        }
    }

    private mutating func readCodes() throws -> (lengths: Code, distances: Code) {
        let (literals, distances, given) = (try take(5) + 257, try take(5) + 1, try take(4) + 4)
        var lengths = [Int](repeating: 0, count: 19)
        for place in Self.lengthOrder.prefix(given) { lengths[place] = try take(3) }
        let code = try Code(lengths: lengths)
        lengths = []
        while lengths.count < literals + distances {
            switch try symbol(code) {
            case let length where length < 16: lengths.append(length)
            case 16:
                guard let last = lengths.last else { throw Broken() }
                lengths += Array(repeating: last, count: 3 + (try take(2)))
            case 17: lengths += Array(repeating: 0, count: 3 + (try take(3)))
            default: lengths += Array(repeating: 0, count: 11 + (try take(7)))
            }
        }
        guard lengths.count == literals + distances else { throw Broken() }
        return (try Code(lengths: Array(lengths[..<literals])), try Code(lengths: Array(lengths[literals...])))
    }

    private static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthBits = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145, 8193, 12289, 16385, 24577,
    ]
    private static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]

    private static var fixedLengths: Code {
        get throws {
            try Code(lengths: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
        }
    }

    private static var fixedDistances: Code {
        get throws { try Code(lengths: Array(repeating: 5, count: 30)) }
    }
}
