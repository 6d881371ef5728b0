import Foundation

/// Internationalised domain names as the ASCII names that resolvers, certificates and `Host` headers know (UTS 46,
/// RFC 3492).
///
/// Our own, because Foundation's conversion is missing from a statically linked binary. The mapping is compatibility
/// composition and lower case. It takes letters, marks, numbers and symbols; a host with invisible characters
/// (joiners, soft hyphens, directions) is refused, because no two programs agree on them.
enum DomainName {
    /// `host` in lower case, each label in other scripts as its A-label; nil where it has none. The caller checks the
    /// syntax of the labels.
    static func ascii(_ host: String) -> String? {
        if host.utf8.allSatisfy({ $0 < 0x80 }) { return host.lowercased() }
        // Lower case may undo a composition, and composing may make something with a lower case.
        let mapped = compose(compose(host).lowercased())
        guard compose(mapped.lowercased()) == mapped else { return nil }
        var labels: [String] = []
        for label in mapped.unicodeScalars.split(omittingEmptySubsequences: false, whereSeparator: isDot) {
            guard let ascii = asciiLabel(Array(label)) else { return nil }
            labels.append(ascii)
        }
        return labels.joined(separator: ".")
    }

    private static func compose(_ text: String) -> String { text.precomposedStringWithCompatibilityMapping }

    /// The full stop, and the ideographic one that East Asian keyboards type for it.
    private static func isDot(_ scalar: Unicode.Scalar) -> Bool { scalar == "." || scalar == "\u{3002}" }

    private static func asciiLabel(_ label: [Unicode.Scalar]) -> String? {
        if label.allSatisfy(\.isASCII) { return String(String.UnicodeScalarView(label)) }
        // Hyphens in third and fourth place are kept for A-labels.
        guard label.count < 4 || label[2] != "-" || label[3] != "-", label.first != "-", label.last != "-",
            let first = label.first, !isMark(first), label.allSatisfy(isAllowed), let encoded = Punycode.encode(label)
        else { return nil }
        return "xn--" + encoded
    }

    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        default: false
        }
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII {
            return scalar == "-" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
        }
        switch scalar.properties.generalCategory {
        case .lowercaseLetter, .otherLetter, .modifierLetter, .nonspacingMark, .spacingMark, .decimalNumber,
            .letterNumber, .otherNumber, .otherSymbol:
            // Variation selectors and fillers are drawn as nothing.
            return !scalar.properties.isDefaultIgnorableCodePoint
        default:
            // What RFC 5892 allows beside letters: middle dots, keraia, geresh and gershayim.
            return ["\u{B7}", "\u{375}", "\u{5F3}", "\u{5F4}", "\u{30FB}"].contains(scalar)
        }
    }
}

/// The encoder of RFC 3492.
enum Punycode {
    private static let base = 36
    private static let (least, most, skew, damp) = (1, 26, 38, 700)
    private static let digits = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    /// No label is longer, so neither is what there is to encode.
    private static let labelMax = 63

    /// Without the prefix; nil for more than a label may hold.
    static func encode(_ label: [Unicode.Scalar]) -> String? {
        guard label.count <= labelMax else { return nil }
        var output = label.filter(\.isASCII).map { UInt8(truncatingIfNeeded: $0.value) }
        let basic = output.count
        var handled = basic
        if basic > 0 { output.append(UInt8(ascii: "-")) }
        var (next, delta, bias) = (0x80, 0, 72)
        while handled < label.count {
            guard let lowest = label.lazy.map({ Int($0.value) }).filter({ $0 >= next }).min() else { return nil }
            delta += (lowest - next) * (handled + 1)
            next = lowest
            for scalar in label {
                if scalar.value < next { delta += 1 }
                guard scalar.value == next else { continue }
                write(delta, bias: bias, into: &output)
                bias = adapt(delta, count: handled + 1, isFirst: handled == basic)
                delta = 0
                handled += 1
            }
            delta += 1
            next += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func write(_ delta: Int, bias: Int, into output: inout [UInt8]) {
        var rest = delta
        var place = base
        while true {
            let threshold = min(most, max(least, place - bias))
            if rest < threshold { break }
            output.append(digits[threshold + (rest - threshold) % (base - threshold)])
            rest = (rest - threshold) / (base - threshold)
            place += base
        }
        output.append(digits[rest])
    }

    private static func adapt(_ delta: Int, count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? delta / damp : delta / 2
        delta += delta / count
        var place = 0
        while delta > (base - least) * most / 2 {
            delta /= base - least
            place += base
        }
        return place + (base - least + 1) * delta / (delta + skew)
    }
}
