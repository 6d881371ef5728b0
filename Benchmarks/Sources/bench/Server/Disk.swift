import Foundation

enum Disk {
    /// How often per second 4 KiB can be appended to a file and made durable; measured for a second.
    static func syncsPerSecond(in folder: String) throws -> Double {
        let path = folder + "/sync"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { throw Failure("\(path) cannot be opened") }
        defer {
            close(file)
            unlink(path)
        }
        let page = [UInt8](repeating: 0x52, count: 4_096)
        let began = ContinuousClock.now
        var count = 0
        while ContinuousClock.now - began < .seconds(1) {
            guard write(file, page, page.count) == page.count, fdatasync(file) == 0 else {
                throw Failure("\(path) cannot be written")
            }
            count += 1
        }
        return Double(count) / (ContinuousClock.now - began).seconds
    }
}
