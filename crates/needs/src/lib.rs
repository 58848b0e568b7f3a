//! Marks a test with the outside programs that it calls: `#[needs::tools(dig, curl)]` in front of `#[test]`. Where one is missing, the
//! test is ignored, and the reason says what installs it. A test of the usual harness cannot be ignored when it runs, so
//! this is decided when it is built.

use proc_macro::TokenStream;

/// See the crate.
#[proc_macro_attribute]
pub fn tools(tools: TokenStream, test: TokenStream) -> TokenStream {
    // `nsd-checkzone` is three tokens.
    let tools = tools.to_string().replace(char::is_whitespace, "");
    let tools: Vec<&str> = tools.split(',').collect();
    if let Some(unknown) = tools.iter().find(|tool| !your_tools::is_known(tool)) {
        return code(&format!("compile_error!({:?});", format!("{unknown} is none of your_tools::TOOLS")));
    }
    let left_out: Vec<&str> = env!("LEFT_OUT").split(',').filter(|tool| tools.contains(tool)).collect();
    let Some(reason) = your_tools::reason(&left_out) else { return test };
    let mut marked = code(&format!("#[ignore = {reason:?}]"));
    marked.extend(test);
    marked
}

fn code(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
