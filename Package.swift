// swift-tools-version:6.2
import PackageDescription

/// Swift 6 mode, and the three upcoming features that keep dependencies visible:
/// SE-0335 (any), SE-0444 (member imports), SE-0409 (imports are internal unless said otherwise).
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let jwtKit = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1 = Target.Dependency.product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")

let package = Package(
    name: "reenvio",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "reenvio", targets: ["reenvio"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", exact: "2.1.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        // Arrows point one way: Model <- Store <- Engine <- API <- reenvio (docs/architecture.md).
        .target(name: "ReenvioModel", dependencies: [crypto], swiftSettings: strict),
        // Loads libpq where a store on PostgreSQL is named; nothing links it.
        .target(name: "CLibPQ"),
        .target(
            name: "ReenvioStore", dependencies: ["ReenvioModel", "CLibPQ", grdb, grdbSQLite, logging],
            swiftSettings: strict
        ),
        .target(
            name: "ReenvioEngine",
            dependencies: [
                "ReenvioModel", "ReenvioStore", nioCore, nioPosix, nioSSL, lifecycle, logging, metrics,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "ReenvioAPI",
            dependencies: [
                "ReenvioModel", "ReenvioStore", "ReenvioEngine", hummingbird, hummingbirdCore, hummingbirdTLS,
                httpTypes, jwtKit, nioCore, nioHTTP1, nioHTTPTypes, nioHTTPTypesHTTP1, nioSSL, logging, metrics,
                mustache,
            ],
            // Whole in the binary: nothing is looked for beside it.
            resources: [.embedInCode("Resources")],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "reenvio",
            dependencies: [
                "ReenvioModel", "ReenvioStore", "ReenvioEngine", "ReenvioAPI", argumentParser, configuration,
                hummingbird, httpTypes, nioCore, nioHTTP1, nioPosix, nioSSL, lifecycle, logging,
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        // The receiver in Swift of docs/receiving-webhooks.md, written as a merchant would write it: nothing of ours is
        // imported. It is built with the tests, which run it; it is no product, `reenvio` is the only one.
        .executableTarget(
            name: "ReceiverExample",
            dependencies: [crypto, hummingbird, hummingbirdCore, httpTypes, nioCore],
            path: "Examples/receivers/swift",
            swiftSettings: strict
        ),
        // Fixtures for the tests; nothing that ships may import it.
        .target(
            name: "ReenvioTesting",
            dependencies: [
                "ReenvioModel", "ReenvioStore", "ReenvioEngine", grdb, nioCore, nioPosix, nioHTTP1, nioSSL, logging,
            ],
            path: "Tests/ReenvioTesting",
            swiftSettings: strict
        ),
        .testTarget(name: "ReenvioModelTests", dependencies: ["ReenvioModel", crypto], swiftSettings: strict),
        .testTarget(
            name: "ReenvioStoreTests",
            dependencies: ["ReenvioModel", "ReenvioStore", "ReenvioTesting", grdb],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ReenvioEngineTests",
            dependencies: [
                "ReenvioModel", "ReenvioStore", "ReenvioEngine", "ReenvioTesting", crypto, nioCore, nioPosix, nioHTTP1,
                nioSSL,
                lifecycle, logging, metrics,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ReenvioAPITests",
            dependencies: [
                "ReenvioModel", "ReenvioStore", "ReenvioEngine", "ReenvioAPI", "ReenvioTesting", hummingbird,
                .product(name: "HummingbirdTesting", package: "hummingbird"), crypto, httpTypes, nioCore, nioPosix,
                logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ReenvioSimulationTests",
            dependencies: ["ReenvioModel", "ReenvioStore", "ReenvioEngine", "ReenvioTesting", logging],
            swiftSettings: strict
        ),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ]
)
