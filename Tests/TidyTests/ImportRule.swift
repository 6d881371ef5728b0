/// Which modules a target may import: the table of `docs/architecture.md`, "Targets: arrows one way".
/// `Package.swift` enforces the arrows between targets; this also keeps each target to the modules it is meant for.
enum ImportRule {
    /// Part of the toolchain, open to every target.
    static let toolchain: Set = ["Foundation", "Synchronization", "Dispatch"]

    static let allowed: [String: Set<String>] = {
        let store: Set = ["ReenvioModel", "GRDB", "GRDBSQLite", "CLibPQ", "Logging"]
        let engine: Set = [
            "ReenvioModel", "ReenvioStore", "NIOCore", "NIOPosix", "NIOSSL", "ServiceLifecycle", "Logging", "Metrics",
        ]
        let api: Set = [
            "ReenvioModel", "ReenvioStore", "ReenvioEngine", "Hummingbird", "HummingbirdCore", "HummingbirdTLS",
            "HTTPTypes", "NIOCore", "NIOHTTP1", "NIOHTTPTypes", "NIOHTTPTypesHTTP1", "NIOSSL", "Mustache", "JWTKit",
            "Logging", "Metrics",
        ]
        return [
            "CLibPQ": [],
            "ReenvioModel": ["Crypto"],
            "ReenvioStore": store,
            "ReenvioEngine": engine,
            "ReenvioAPI": api,
            "reenvio": store.union(engine).union(api).union([
                "ReenvioAPI", "NIOHTTP1", "Crypto", "ArgumentParser", "Configuration", "SystemPackage", "UnixSignals",
            ]),
        ]
    }()

    private static let declarationKinds: Set<Substring> = [
        "actor", "class", "enum", "func", "let", "protocol", "struct", "typealias", "var",
    ]

    static func offences(in file: SourceFile) -> [Offence] {
        guard let target = file.target else { return [] }
        guard let allowed = allowed[target] else {
            return [file.offence(at: 0, "the target \(target) has no row in ImportRule and docs/architecture.md")]
        }
        return file.code.indices.compactMap { index in
            guard let module = importedModule(in: file.code[index]) else { return nil }
            if toolchain.contains(module) || allowed.contains(module) { return nil }
            return file.offence(at: index, "\(target) may not import \(module): \(advice(on: module))")
        }
    }

    /// `@preconcurrency package import struct NIOCore.ByteBuffer` imports `NIOCore`.
    static func importedModule(in line: String) -> String? {
        let words = line.split(separator: " ")
        guard let keyword = words.firstIndex(of: "import"), words[..<keyword].allSatisfy(isImportModifier) else {
            return nil
        }
        let named = words[(keyword + 1)...].drop { declarationKinds.contains($0) }
        return named.first?.split(separator: ".").first.map(String.init)
    }

    private static func isImportModifier(_ word: Substring) -> Bool {
        word.hasPrefix("@") || ["package", "internal", "private", "fileprivate", "public"].contains(word)
    }

    private static func advice(on module: String) -> String {
        switch module {
        case "ReenvioTesting": "it is for tests only"
        case "Glibc": "Foundation brings it"
        case "AsyncHTTPClient": "deliveries go through ReenvioEngine/Wire (docs/decisions/0001)"
        default: "see the table of targets in docs/architecture.md"
        }
    }
}
