package import Metrics
import Synchronization

/// Where swift-metrics ends here: one cell of atomics for each series of `MetricFamily`, made at the start. What is not
/// on the list is not kept, so nothing that a caller does makes it grow.
package final class MetricsRegistry: MetricsFactory {
    private let series: [MetricFamily: [Series]]

    /// One line of a family, or all lines of a histogram.
    struct Series: Sendable {
        enum Cell: Sendable {
            case counter(CounterCell)
            case gauge(GaugeCell)
            case histogram(HistogramCell)
        }

        /// The value of the family's label; empty for a family without one.
        var value: String
        var cell: Cell
    }

    package init() {
        var series: [MetricFamily: [Series]] = [:]
        for family in MetricFamily.allCases {
            series[family] = (family.label?.values ?? [""]).map { value in
                switch family.kind {
                case .counter: Series(value: value, cell: .counter(CounterCell()))
                case .gauge, .readCounter: Series(value: value, cell: .gauge(GaugeCell()))
                case .histogram(let bounds): Series(value: value, cell: .histogram(HistogramCell(bounds: bounds)))
                }
            }
        }
        self.series = series
    }

    func all(_ family: MetricFamily) -> [Series] { series[family] ?? [] }

    private func cell(_ label: String, _ dimensions: [(String, String)]) -> Series.Cell? {
        guard let family = MetricFamily(rawValue: label), dimensions.map(\.0) == [family.label?.name].compactMap({ $0 })
        else { return nil }
        return all(family).first { $0.value == dimensions.first?.1 ?? "" }?.cell
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        if case .counter(let cell) = cell(label, dimensions) { cell } else { NOOPMetricsHandler.instance }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        if case .gauge(let cell) = cell(label, dimensions) { cell } else { NOOPMetricsHandler.instance }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        if case .histogram(let cell) = cell(label, dimensions) { cell } else { NOOPMetricsHandler.instance }
    }

    /// No family is one of these.
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        NOOPMetricsHandler.instance
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}
}

final class CounterCell: CounterHandler {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    func increment(by amount: Int64) {
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    /// A counter never falls.
    func reset() {}
}

final class GaugeCell: MeterHandler {
    private let bits = Atomic<UInt64>(Double.nan.bitPattern)

    /// Nil until it is set.
    var value: Double? {
        let value = Double(bitPattern: bits.load(ordering: .relaxed))
        return value.isNaN ? nil : value
    }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func forget() { set(.nan) }

    func increment(by amount: Double) {
        var seen = bits.load(ordering: .relaxed)
        while true {
            let now = Double(bitPattern: seen)
            let next = (now.isNaN ? 0 : now) + amount
            let result = bits.compareExchange(expected: seen, desired: next.bitPattern, ordering: .relaxed)
            if result.exchanged { return }
            seen = result.original
        }
    }

    func decrement(by amount: Double) { increment(by: -amount) }
}

/// Fixed buckets; an observation is two additions and no lock.
final class HistogramCell: TimerHandler {
    /// Seconds, as they are shown.
    let bounds: [Double]
    private let nanoseconds: [Int64]
    /// One for each bound, one for what is above them all, and the sum of all observations in nanoseconds.
    private let cells: UnsafeMutableBufferPointer<Atomic<Int64>>

    init(bounds: [Double]) {
        self.bounds = bounds
        nanoseconds = bounds.map { Int64(($0 * 1e9).rounded()) }
        cells = .allocate(capacity: bounds.count + 2)
        for index in cells.indices { cells.initializeElement(at: index, to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize()
        cells.deallocate()
    }

    func recordNanoseconds(_ duration: Int64) {
        let duration = max(0, duration)
        let bucket = nanoseconds.firstIndex { duration <= $0 } ?? bounds.count
        cells[bucket].wrappingAdd(1, ordering: .relaxed)
        cells[bounds.count + 1].wrappingAdd(duration, ordering: .relaxed)
    }

    /// How many observations fell into each bucket, the one without a bound last.
    var counts: [Int64] { (0...bounds.count).map { cells[$0].load(ordering: .relaxed) } }

    /// Seconds.
    var sum: Double { Double(cells[bounds.count + 1].load(ordering: .relaxed)) / 1e9 }
}
