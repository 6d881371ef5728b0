import ReenvioModel
import Testing

@Suite struct TraceParentTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let span = "00f067aa0ba902b7"

    @Test func readsWhatItWrites() {
        let text = "00-\(Self.trace)-\(Self.span)-01"
        #expect(TraceParent(text) == TraceParent(traceID: Self.trace, spanID: Self.span, isSampled: true))
        #expect(TraceParent(text)?.text == text)
        #expect(TraceParent("01-\(Self.trace)-\(Self.span)-00-more")?.isSampled == false)
        #expect(TraceParent(text)?.from(spanID: "b7ad6b7169203331").text == "00-\(Self.trace)-b7ad6b7169203331-01")
    }

    @Test func isStoredInTwentyFiveBytes() throws {
        for flags in ["00", "01"] {
            let trace = try #require(TraceParent("00-\(Self.trace)-\(Self.span)-\(flags)"))
            #expect(trace.bytes.count == 25)
            #expect(TraceParent(bytes: trace.bytes) == trace)
        }
        #expect(TraceParent(bytes: []) == nil)
        #expect(TraceParent(bytes: Array(repeating: 1, count: 26)) == nil)
    }

    @Test(arguments: [
        "", "00", "00-\(trace)-\(span)", "ff-\(trace)-\(span)-01", "00-\(trace)-\(span)-01-more",
        "00-\(trace.uppercased())-\(span)-01", "00-\(String(repeating: "0", count: 32))-\(span)-01",
        "00-\(trace)-0000000000000000-01", "00-\(trace)-\(span)-1", "00-\(trace)x-\(span)-01", "0-\(trace)-\(span)-01",
    ])
    func ignoresWhatIsNone(header: String) {
        #expect(TraceParent(header) == nil)
    }
}
