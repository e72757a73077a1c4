//! Files that are mistaken for ONNX models, recognised by how they begin.

const EXPORT: &str = "export the network to ONNX and give that file";
const AGAIN: &str = "download it again";

/// Why `bytes` can't be an ONNX model, and what to do about it; `None` when nothing speaks against it.
pub(super) fn mistaken(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some(format!("the file is empty; {AGAIN}"));
    }
    if is_git_lfs_pointer(bytes) {
        return Some(
            "this is a git-LFS pointer, not the model itself; run `git lfs pull` in its repository, \
             or download the file"
                .to_owned(),
        );
    }
    binary(bytes).or_else(|| text(bytes))
}

/// Whether this is the small text file that stands for a large one in a repository without its LFS objects.
pub(super) fn is_git_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs")
}

fn binary(bytes: &[u8]) -> Option<String> {
    let at = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    let head = &bytes[..bytes.len().min(4096)];
    let found = if at(0, b"PK\x03\x04") {
        if contains(head, b"data.pkl") || contains(head, b"/version") {
            format!("this is a PyTorch checkpoint; {EXPORT}")
        } else {
            "this is a ZIP archive; unpack it and give the .onnx file in it".to_owned()
        }
    } else if is_safetensors(bytes) {
        format!("this is a safetensors file, which holds weights without the network; {EXPORT}")
    } else if at(0, b"\x80")
        && bytes
            .get(1)
            .is_some_and(|&protocol| (2..=5).contains(&protocol))
    {
        format!("this is a Python pickle, probably a PyTorch checkpoint; {EXPORT}")
    } else if at(0, b"ftrt") {
        "this is a TensorRT engine, which serves one GPU and version only; give the ONNX model it was built from"
            .to_owned()
    } else if at(4, b"TFL3") {
        format!("this is a TensorFlow Lite model; {EXPORT}")
    } else if at(4, b"ORTM") {
        "this is a model in ORT format; give the .onnx file it was made from".to_owned()
    } else if at(0, b"\x89HDF") {
        format!("this is an HDF5 file, probably a Keras model; {EXPORT}")
    } else if at(0, b"GGUF") {
        format!("this is a GGUF file; {EXPORT}")
    } else if at(0, b"\x1f\x8b")
        || at(0, b"\x28\xb5\x2f\xfd")
        || at(0, b"\xfd7zXZ")
        || at(0, b"7z\xbc\xaf")
        || at(257, b"ustar")
    {
        "this is an archive; unpack it and give the .onnx file in it".to_owned()
    } else {
        return None;
    };
    Some(found)
}

/// A little-endian header length, then the header, which is JSON.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    rest.first() == Some(&b'{') && (2..=100_000_000).contains(&u64::from_le_bytes(*length))
}

fn text(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(512)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    // a protobuf of any use holds small tags and lengths, which are control characters in text
    let printable =
        |&byte: &u8| byte >= 0x20 && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r');
    if !head.iter().all(printable) {
        return None;
    }
    let start = String::from_utf8_lossy(head).trim_start().to_lowercase();
    Some(
        if contains(start.as_bytes(), b"<!doctype html")
            || contains(start.as_bytes(), b"<html")
            || start.starts_with("<head")
        {
            "this is a web page, the download probably got a login or error page instead of the file; \
         open the link in a browser, or use the direct link to the file"
            .to_owned()
        } else if start.starts_with("<?xml") || start.starts_with("<net") {
            "this is an XML file, probably an OpenVINO model; give the ONNX model it was made from"
                .to_owned()
        } else {
            let line: String = start
                .chars()
                .take_while(|&c| c != '\n' && c != '\r')
                .take(60)
                .collect();
            format!("this is a text file that begins with \"{line}\"; {AGAIN}")
        },
    )
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let reason = mistaken(bytes).unwrap_or_default();
        assert!(reason.contains(expected), "{reason:?} lacks {expected:?}");
    }

    #[test]
    fn other_formats_are_named() {
        check(b"", "empty");
        check(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "git lfs pull",
        );
        check(b"\n <!DOCTYPE html><html>", "web page");
        check(b"<?xml version=\"1.0\"?>\n<html xmlns", "web page");
        check(
            b"<?xml version=\"1.0\"?>\n<net name=\"depth\" version=\"11\">",
            "OpenVINO",
        );
        check(b"PK\x03\x04\0\0\0\0model/data.pkl", "PyTorch checkpoint");
        check(b"PK\x03\x04\0\0\0\0depth.onnx", "ZIP archive");
        check(b"\x40\0\0\0\0\0\0\0{\"__metadata__\"", "safetensors");
        check(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pickle");
        check(b"ftrt\0\0\0\0", "TensorRT engine");
        check(b"\x1c\0\0\0TFL3", "TensorFlow Lite");
        check(b"\x1c\0\0\0ORTM", "ORT format");
        check(b"\x1f\x8b\x08\0", "archive");
        check(
            b"{\"error\":\"Entry not found\"}",
            "text file that begins with \"{\"error\"",
        );
        check("é accès refusé".as_bytes(), "text file");
    }

    #[test]
    fn onnx_is_let_through() {
        assert_eq!(mistaken(b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:\x10"), None);
        assert_eq!(mistaken(&[0xff, 0x00, 0x13]), None);
    }
}
