import ReenvioModel
import Testing

@Suite struct FaultsTests {
    @Test func gathersTextsByField() {
        var faults = Faults()
        #expect(faults.isEmpty)
        faults.add("b", "one")
        faults.add("a", "two")
        faults.add("b", "three")
        #expect(!faults.isEmpty)
        #expect(faults["b"] == ["one", "three"])
        #expect(faults["c"] == nil)
        #expect(rendered(faults) == #"{"b":["one","three"],"a":["two"]}"#)
    }

    @Test func takesOthersIn() {
        var faults = Faults("a", "one")
        var others = Faults("b", "two")
        others.add("a", "three")
        faults.add(others)
        #expect(rendered(faults) == #"{"a":["one","three"],"b":["two"]}"#)
        #expect(faults != others)
        #expect(faults == faults)
    }

    @Test func writesAnEmptyObject() {
        #expect(rendered(Faults()) == "{}")
    }

    /// A body of half a million bad ids must cost no more than reading it, and the answer must stay small.
    @Test func listsAHundredFields() {
        var faults = Faults()
        for index in 0..<200_000 { faults.add("f.\(index)", "bad") }
        faults.add("f.0", "worse")
        #expect(faults.entries.count == Limits.faultsReported)
        #expect(faults["f.0"] == ["bad", "worse"])
        #expect(faults["f.100"] == nil)
    }
}
