import Testing

/// The house rules of `docs/architecture.md`, checked on every Swift file of the package.
/// When review repeats itself, add a rule here instead of a reminder.
@Suite struct TidyTests {
    private let tree: SourceTree

    init() throws {
        tree = try SourceTree.package.get()
    }

    /// A check that reads nothing passes always.
    @Test func everyTargetIsRead() {
        let targets = Set(tree.sources.compactMap(\.target))
        #expect(targets.isSuperset(of: ["ReenvioModel", "ReenvioStore", "ReenvioEngine", "ReenvioAPI", "reenvio"]))
        #expect(tree.others.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
        #expect(tree.sources.allSatisfy { $0.lines.count == $0.code.count })
    }

    @Test func importsFollowTheArrows() {
        expectNone(tree.sources.flatMap(ImportRule.offences))
    }

    @Test func nothingBannedIsWritten() {
        expectNone(tree.sources.flatMap(BannedCall.offences))
    }

    @Test func uncheckedSendableIsExplained() {
        expectNone(tree.sources.flatMap(UncheckedSendableRule.offences))
    }

    @Test func functionsAreShort() {
        expectNone(tree.sources.flatMap(FunctionLengthRule.offences))
    }

    @Test func filesAreShort() {
        expectNone(tree.all.flatMap(FileLengthRule.offences))
    }

    @Test func linesAreShort() {
        expectNone(tree.all.flatMap(LineLengthRule.offences))
    }

    @Test func nothingIsLeftOver() {
        expectNone(tree.all.flatMap(LeftoverRule.offences))
    }

    /// One failure that lists all offenders.
    private func expectNone(_ offences: [Offence], sourceLocation: SourceLocation = #_sourceLocation) {
        guard !offences.isEmpty else { return }
        let list = offences.map(\.description).joined(separator: "\n")
        Issue.record("\(offences.count) found:\n\(list)", sourceLocation: sourceLocation)
    }
}
